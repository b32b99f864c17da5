//! The table `replica_sync_progress`: reading it is a sync, whose rows come as
//! the work goes on.

use std::rc::Rc;
use std::sync::LazyLock;

use super::arguments::optional_text;
use super::columns::{Column, create_table, integer, real, text};
use super::{Connection, options};
use crate::error::Result;
use crate::host::value::{Argument, Output};
use crate::host::vtab::{Rows, Table};
use crate::options::SyncOptions;
use crate::replica::{Progress, WatchedSync};

pub const COLUMNS: &[Column] = &[
    text("phase", "what is going on; `done` in the last row"),
    integer("frames_done", "frames that came"),
    integer("frames_total", "frames to come in all, once that is known"),
    integer("bytes", "bytes that came"),
    real("percent", "how much of it is done, once that is known"),
    integer("elapsed_ms", "milliseconds since it began"),
];

pub struct ProgressTable(pub Rc<Connection>);

impl Table for ProgressTable {
    fn name(&self) -> &'static str {
        "replica_sync_progress"
    }

    fn schema(&self) -> &str {
        static SCHEMA: LazyLock<String> =
            LazyLock::new(|| create_table(COLUMNS, "options TEXT HIDDEN"));
        &SCHEMA
    }

    fn visible_columns(&self) -> usize {
        COLUMNS.len()
    }

    fn hidden_columns(&self) -> usize {
        1
    }

    fn rows(&self, arguments: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        let options = match optional_text("options", arguments[0].as_ref())? {
            Some(json) => options::parse(options::SYNC, json)?,
            None => SyncOptions::default(),
        };
        if options.on_reset.is_some() {
            self.0.permit_other_content()?;
        }
        let host = self.0.host;
        let sync = self.0.with_replica(|replica| replica.watched_sync(host, options))?;
        Ok(Box::new(sync))
    }
}

impl Rows for WatchedSync {
    fn next(&mut self) -> Result<Option<Vec<Output>>> {
        Ok(self.next_report()?.map(row))
    }
}

fn row(progress: Progress) -> Vec<Output> {
    let number = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok()).into();
    let percent = match progress.frames_total {
        Some(0) => Output::Real(100.0),
        Some(total) => {
            let percent = progress.frames_done as f64 * 100.0 / total as f64;
            Output::Real((percent.min(100.0) * 10.0).round() / 10.0)
        }
        None => Output::Null,
    };
    vec![
        Output::Text(progress.phase.to_owned()),
        number(Some(progress.frames_done)),
        number(progress.frames_total),
        number(Some(progress.bytes)),
        percent,
        number(Some(progress.elapsed_ms)),
    ]
}
