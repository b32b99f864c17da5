//! The table-valued function `replica_query(sql [, args])`.

use std::rc::Rc;

use serde_json::Value as Json;

use super::arguments::{optional_text, text};
use super::{Connection, json};
use crate::error::{Error, Kind, Result};
use crate::host::value::{Argument, Output};
use crate::host::vtab::{Rows, Table};
use crate::proto::value::Value;

/// The rows of a statement that the primary runs.
pub struct QueryTable(pub Rc<Connection>);

impl Table for QueryTable {
    fn name(&self) -> &'static str {
        "replica_query"
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE x(row TEXT, sql TEXT HIDDEN, args TEXT HIDDEN)"
    }

    fn visible_columns(&self) -> usize {
        1
    }

    fn hidden_columns(&self) -> usize {
        2
    }

    fn rows(&self, arguments: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        let Some(sql) = &arguments[0] else {
            let text = "the SQL text is missing; write replica_query(sql [, args])";
            return Err(Error::new(Kind::BadArgument, text));
        };
        let sql = text("sql", sql)?;
        let args = match optional_text("args", arguments[1].as_ref())? {
            Some(args) => values(args)?,
            None => Vec::new(),
        };
        let rows = self.0.with_replica(|replica| replica.query(sql, args))?;
        Ok(Box::new(Arrays(rows.into_iter())))
    }
}

/// Each row becomes text only when it is read.
struct Arrays(std::vec::IntoIter<Vec<Value>>);

impl Rows for Arrays {
    fn next(&mut self) -> Result<Option<Vec<Output>>> {
        Ok(self.0.next().map(|row| vec![Output::Json(json::row(&row))]))
    }
}

fn values(args: &str) -> Result<Vec<Value>> {
    let bad = |text: String| Error::new(Kind::BadArgument, text);
    match serde_json::from_str(args) {
        Ok(Json::Array(args)) => args
            .iter()
            .enumerate()
            .map(|(i, arg)| {
                Value::from_json(arg).map_err(|error| error.context(&format!("args[{i}]")))
            })
            .collect(),
        Ok(_) => Err(bad("args must be a JSON array, such as json_array(1, 'a')".to_owned())),
        Err(error) => Err(bad(format!("args is not valid JSON: {error}"))),
    }
}
