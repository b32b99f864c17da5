//! The table `replica_status`.

use std::rc::Rc;

use super::Connection;
use crate::error::Result;
use crate::host::value::{Argument, Output};
use crate::host::vtab::{Rows, Table};
use crate::position::Position;
use crate::replica::{Replica, Status};

/// One row for the replica of this connection, none while nothing is attached.
pub struct StatusTable(pub Rc<Connection>);

impl Table for StatusTable {
    fn name(&self) -> &'static str {
        "replica_status"
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE x(path TEXT, sync_url TEXT, protocol TEXT, state TEXT, log_id TEXT, \
         frame_no INTEGER, position TEXT, primary_frame_no INTEGER, lag_frames INTEGER, \
         last_contact_unix_ms INTEGER, last_sync_unix_ms INTEGER, last_sync_ms INTEGER, bytes_received INTEGER, \
         frames_received INTEGER, pages_written INTEGER, syncs INTEGER, writes INTEGER, \
         last_error TEXT, last_error_unix_ms INTEGER)"
    }

    fn visible_columns(&self) -> usize {
        19
    }

    fn rows(&self, _: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        let rows = match self.0.is_attached() {
            true => vec![row(self.0.with_replica(Replica::status)?)],
            false => Vec::new(),
        };
        Ok(Box::new(rows.into_iter()))
    }
}

fn row(status: Status) -> Vec<Output> {
    vec![
        Output::Text(status.path.display().to_string()),
        Output::Text(status.sync_url),
        Output::Text(status.protocol.to_owned()),
        Output::Text(status.state.to_owned()),
        status.log_id.into(),
        number(status.position.and_then(Position::frame_no).map(|frame| frame.0)),
        status.position.and_then(Position::token).into(),
        number(status.primary_frame_no),
        number(status.lag_frames),
        status.last_contact_unix_ms.into(),
        status.last_sync_unix_ms.into(),
        number(status.last_sync_ms),
        number(Some(status.bytes_received)),
        number(Some(status.frames_received)),
        number(Some(status.pages_written)),
        number(Some(status.syncs)),
        number(Some(status.writes)),
        status.last_error.into(),
        status.last_error_unix_ms.into(),
    ]
}

fn number(value: Option<u64>) -> Output {
    value.and_then(|value| i64::try_from(value).ok()).into()
}
