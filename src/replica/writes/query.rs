//! Reading on the primary, for what must be newest or is not here.

use crate::error::{Error, Kind, Result};
use crate::host::statement_is_complete;
use crate::primary::StatementResult;
use crate::replica::Replica;
use crate::sqltext::script::statements;
use crate::sqltext::value::Value;

impl Replica {
    /// The rows of one statement that reads.
    pub fn query(&self, sql: &str, args: Vec<Value>) -> Result<Vec<Vec<Value>>> {
        let statements = statements(sql, args, statement_is_complete)?;
        let [statement] = statements.as_slice() else {
            let text = "only one statement can be queried";
            return Err(Error::new(Kind::BadArgument, text));
        };
        let result = match self.query_in_transaction(statement)? {
            Some(result) => result,
            None => {
                let executed = self.syncer.primary.query(statement, &self.patience());
                self.noted(executed)?.results.into_iter().next().unwrap_or_default()
            }
        };
        if !is_read(&result) {
            return Err(Error::new(
                Kind::NotAllowed,
                "the statement does not only read, so that nothing of it took effect; call \
                 replica_write()",
            ));
        }
        Ok(result.rows)
    }
}

/// A statement that reads has columns and changes nothing.
pub(in crate::replica) fn is_read(result: &StatementResult) -> bool {
    !result.columns.is_empty() && result.rows_affected.unwrap_or(0) == 0
}
