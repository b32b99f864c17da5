//! The aggregates `replica_batch(sql [, arg ...])` and `replica_batch_args(sql,
//! args)`.

use std::rc::Rc;

use super::arguments::{text, values};
use super::permit::Effect;
use super::values::from_json;
use super::{Connection, json};
use crate::error::{Error, Kind, Result};
use crate::host::aggregate::Aggregate;
use crate::host::value::{Argument, Output};
use crate::replica::{Batch, BatchReport};
use crate::sqltext::parameters::Arguments;

/// One batch for each group of rows.
pub struct BatchOfRows {
    connection: Rc<Connection>,
    batch: Option<Batch>,
    /// The arguments of a statement come as one JSON text.
    as_json: bool,
}

impl BatchOfRows {
    pub fn new(connection: Rc<Connection>, as_json: bool) -> BatchOfRows {
        BatchOfRows { connection, batch: None, as_json }
    }

    fn name(&self) -> &'static str {
        if self.as_json { "replica_batch_args" } else { "replica_batch" }
    }

    fn row(&mut self, arguments: &[Argument]) -> Result<()> {
        if self.batch.is_none() {
            self.connection.permit(Effect::Writes)?;
        }
        let Some((sql, args)) = arguments.split_first() else {
            return Err(Error::new(
                Kind::BadArgument,
                format!("the SQL text is missing; write {}(sql, arg ...)", self.name()),
            ));
        };
        let sql = text("sql", sql)?;
        let args =
            if self.as_json { from_json(args.first())? } else { Arguments::Listed(values(args)?) };
        let batch = self.batch.get_or_insert_default();
        self.connection.with_replica(|replica| replica.batch_row(batch, sql, args))
    }

    fn end(&mut self) -> Result<BatchReport> {
        let report = match &mut self.batch {
            Some(batch) => self.connection.with_replica(|replica| replica.batch_finish(batch))?,
            None => BatchReport::empty(),
        };
        self.batch = None;
        Ok(report)
    }

    fn abandon(&mut self) {
        if let Some(mut batch) = self.batch.take() {
            let _ = self.connection.with_replica(|replica| {
                replica.batch_abandon(&mut batch);
                Ok(())
            });
        }
    }
}

impl Aggregate for BatchOfRows {
    fn step(&mut self, arguments: &[Argument]) -> Result<()> {
        let outcome = self.row(arguments);
        self.connection.noted(self.name(), outcome)
    }

    fn finish(&mut self) -> Result<Output> {
        let outcome = self.end();
        let report = self.connection.noted(self.name(), outcome)?;
        Ok(Output::Json(json::batch(&report, self.connection.style())))
    }
}

/// What has been sent of a batch without an end is undone.
impl Drop for BatchOfRows {
    fn drop(&mut self) {
        self.abandon();
    }
}
