//! Writing: on the primary, and readable here when the call returns.

use super::Replica;
use super::options::SyncOptions;
use super::script::statements;
use crate::error::Result;
use crate::primary::StatementResult;
use crate::proto::value::Value;

/// What a write did.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteReport {
    /// One per statement.
    pub results: Vec<StatementResult>,
    /// The primary's last frame after it, where the primary tells.
    pub frame_no: Option<u64>,
    /// Whether the local file holds it already.
    pub synced: bool,
    /// Why it does not, if that was an error.
    pub sync_error: Option<String>,
}

impl Replica {
    /// Runs `sql` on the primary, several statements as one transaction, then
    /// pulls up to it. Once the primary has run it, no error of the pull makes
    /// it look failed.
    pub fn write(&self, sql: &str, args: Vec<Value>) -> Result<WriteReport> {
        let statements = statements(sql, args)?;
        let patience = self.syncer.patience(SyncOptions::default());
        let executed = match self.syncer.primary.execute(&statements, &patience) {
            Ok(executed) => executed,
            Err(error) => {
                self.syncer.counters.lock().failed(&error);
                return Err(error);
            }
        };
        self.syncer.counters.lock().writes += 1;
        let mut report = WriteReport {
            results: executed.results,
            frame_no: executed.frame_no,
            synced: false,
            sync_error: None,
        };
        if self.options.read_your_writes {
            match self.pull_up_to(executed.frame_no) {
                Ok(synced) => report.synced = synced,
                Err(error) => report.sync_error = Some(error.to_string()),
            }
        }
        Ok(report)
    }

    /// Syncs unless the file is at `frame_no` already; whether it is then.
    fn pull_up_to(&self, frame_no: Option<u64>) -> Result<bool> {
        let reached = |at: Option<u64>| frame_no.is_some_and(|wanted| at >= Some(wanted));
        if reached(self.syncer.file.position()?.map(|position| position.at)) {
            return Ok(true);
        }
        let report = self.sync(SyncOptions::default())?;
        Ok(frame_no.is_none() || reached(report.frame_no))
    }
}
