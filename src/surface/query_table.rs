//! The table-valued function `replica_query(sql [, args])`.

use std::rc::Rc;

use serde_json::Value as Json;

use super::arguments::{optional_text, text};
use super::{Connection, json};
use crate::error::{Error, Kind, Result};
use crate::host::value::{Argument, Output};
use crate::host::vtab::{Rows, Table};
use crate::sqltext::parameters::Arguments;
use crate::sqltext::value::Value;

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
        let args = match arguments[1].as_ref() {
            // Many write the values themselves first, as for replica_write.
            Some(Argument::Integer(_) | Argument::Real(_)) => return Err(not_an_array()),
            args => optional_text("args", args)?.map_or(Ok(Vec::new()), values)?,
        };
        let rows = self.0.with_replica(|replica| replica.query(sql, Arguments::Listed(args)))?;
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
    match serde_json::from_str(args) {
        Ok(Json::Array(args)) => args
            .iter()
            .enumerate()
            .map(|(i, arg)| {
                Value::from_json(arg).map_err(|error| error.context(&format!("args[{i}]")))
            })
            .collect(),
        Ok(_) => Err(not_an_array()),
        Err(error) => {
            let text =
                format!("args is not valid JSON: {error}; give an array, json_array(1, 'a')");
            Err(Error::new(Kind::BadArgument, text))
        }
    }
}

fn not_an_array() -> Error {
    Error::new(Kind::BadArgument, "args must be a JSON array, such as json_array(1, 'a')")
}
