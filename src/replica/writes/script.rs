//! Many statements in one round trip, and what one statement is.

use super::migrate::refuse_key_pragmas;
use super::{Work, WriteReport};
use crate::error::{Error, Kind, Result};
use crate::host::statement_is_complete;
use crate::primary::{Description, Executed, Statement};
use crate::replica::Replica;
use crate::sqltext::parameters::Arguments;
use crate::sqltext::script::{cut, only};

/// What a statement is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The parameters in the order of their numbers, with their names.
    pub parameters: Vec<Option<String>>,
    pub description: Description,
}

impl Replica {
    /// Statements with arguments of their own: all or nothing, a result each.
    /// `once`: whether this call is to happen once, where it says so.
    pub fn write_many(
        &self,
        texts: Vec<(String, Arguments)>,
        once: Option<bool>,
    ) -> Result<WriteReport> {
        let mut statements = Vec::with_capacity(texts.len());
        for (index, (sql, args)) in texts.into_iter().enumerate() {
            let bound = (|| {
                let cuts = cut(&sql, statement_is_complete)?;
                refuse_key_pragmas(&cuts)?;
                only(cuts)?.bind(args)
            })();
            statements
                .push(bound.map_err(|error| error.context(&format!("statement {}", index + 1)))?);
        }
        if statements.is_empty() {
            return Err(Error::new(Kind::BadArgument, "there is no statement in the list"));
        }
        self.run_as(Work::Script(&statements), once.unwrap_or_else(|| self.writes_once()))
    }

    /// Runs the statements of a script one after another, each lasting at
    /// once but for what stands between a BEGIN and a COMMIT in it. After an
    /// error the file is brought to what was done before it.
    pub fn script(&self, sql: &str) -> Result<WriteReport> {
        if self.has_open_transaction() {
            let text = "a transaction is open, and a script begins and commits by itself; end it \
                        with replica_commit() or replica_rollback()";
            return Err(Error::new(Kind::Misuse, text));
        }
        if self.writes_once() {
            let text = "the statements of a script are not one transaction, so that it cannot \
                        happen exactly once; use replica_write() or replica_migrate(), or attach \
                        without exactly_once";
            return Err(Error::new(Kind::Misuse, text));
        }
        let cuts = cut(sql, statement_is_complete)?;
        let statements = cuts.into_iter().map(|cut| cut.bind(Arguments::default()));
        let statements: Vec<Statement> = statements.collect::<Result<_>>()?;
        if statements.is_empty() {
            return Err(Error::new(Kind::BadArgument, "there is no statement in the SQL text"));
        }
        let before = self.syncer.file.position()?;
        let patience = self.patience();
        let sql = self.syncer.primary.sql(&patience);
        let outcome = sql.and_then(|sql| sql.sequence(&statements, &patience));
        match outcome {
            Ok(Executed { results, frame_no, .. }) => {
                let arrival = self.arrive(before, frame_no, true);
                Ok(WriteReport { results, arrival, ..WriteReport::default() })
            }
            Err(error) => {
                if matches!(error.kind(), Kind::Remote(_) | Kind::RemoteBusy | Kind::BadArgument) {
                    self.arrive(before, None, true);
                }
                self.noted(Err(error))
            }
        }
    }

    /// What the primary says of a statement; in a transaction, as the
    /// transaction sees it.
    pub fn describe(&self, sql: &str) -> Result<Described> {
        let cut = only(cut(sql, statement_is_complete)?)?;
        let names = cut.parameters.in_order().into_iter();
        let parameters = names.map(|name| name.map(str::to_owned)).collect();
        let description = match self.describe_inside(sql)? {
            Some(description) => description,
            None => {
                let patience = self.patience();
                let primary = self.syncer.primary.sql(&patience);
                let described = primary.and_then(|primary| primary.describe(sql, &patience));
                self.noted(described)?
            }
        };
        Ok(Described { parameters, description })
    }
}

/// The statements of a text, each as it stands there.
pub fn split(sql: &str) -> Result<Vec<String>> {
    let cuts = cut(sql, statement_is_complete)?;
    Ok(cuts.into_iter().map(|cut| cut.source.trim().to_owned()).collect())
}
