//! Arguments as one JSON text, and results as SQL values.

use serde_json::Value as Json;

use super::arguments::optional_text;
use crate::error::{Error, Kind, Result};
use crate::host::value::{Argument, Output};
use crate::sqltext::parameters::Arguments;
use crate::sqltext::value::Value;

/// Columns of a table that shows results: `c0` to this one less one.
pub const MOST_COLUMNS: usize = 128;

/// Reads the argument `args`: a JSON array, or an object whose keys are the
/// names of parameters, with or without their mark.
pub fn from_json(args: Option<&Argument>) -> Result<Arguments> {
    // Many write the values themselves first, as for replica_write.
    if let Some(Argument::Integer(_) | Argument::Real(_)) = args {
        return Err(neither());
    }
    let Some(text) = optional_text("args", args)? else { return Ok(Arguments::default()) };
    let json = serde_json::from_str(text).map_err(|error| {
        let text = format!("args is not valid JSON: {error}; give an array, json_array(1, 'a')");
        Error::new(Kind::BadArgument, text)
    })?;
    of_json(&json)
}

/// The same from JSON that was read already.
pub fn of_json(json: &Json) -> Result<Arguments> {
    match json {
        Json::Null => Ok(Arguments::default()),
        Json::Array(args) => {
            let value = |(i, arg): (usize, &Json)| {
                Value::from_json(arg).map_err(|error| error.context(&format!("args[{i}]")))
            };
            args.iter().enumerate().map(value).collect::<Result<_>>().map(Arguments::Listed)
        }
        Json::Object(args) => {
            let value = |(name, arg): (&String, &Json)| {
                let value = Value::from_json(arg);
                let value = value.map_err(|error| error.context(&format!("args.{name}")))?;
                Ok((name.clone(), value))
            };
            args.iter().map(value).collect::<Result<_>>().map(Arguments::Named)
        }
        _ => Err(neither()),
    }
}

/// Statements with arguments of their own.
pub type Listed = Vec<(String, Arguments)>;

/// A list of statements: texts, `[text, args]`, or `{"sql", "args"}`; alone, or
/// in an object with what is to be done with them: whether they are to happen
/// once, where it says so.
pub fn statements_of(text: &str) -> Result<(Listed, Option<bool>)> {
    let bad = |text: String| Error::new(Kind::BadArgument, text);
    let list: Json = serde_json::from_str(text)
        .map_err(|error| bad(format!("list is not valid JSON: {error}")))?;
    let (list, once) = match list {
        Json::Object(mut object) => {
            let list = object.remove("statements").unwrap_or(Json::Null);
            let once = match object.remove("exactly_once") {
                None => None,
                Some(Json::Bool(once)) => Some(once),
                Some(_) => return Err(bad("exactly_once must be true or false".to_owned())),
            };
            if let Some(name) = object.keys().next() {
                let text =
                    format!("list has no member \"{name}\"; they are statements and exactly_once");
                return Err(bad(text));
            }
            (list, once)
        }
        list => (list, None),
    };
    let Json::Array(list) = list else {
        return Err(bad("list must be a JSON array of statements".to_owned()));
    };
    let statement = |(at, item): (usize, &Json)| {
        let (sql, args) = match item {
            Json::Array(pair) => (pair.first(), pair.get(1)),
            Json::Object(object) => (object.get("sql"), object.get("args")),
            text => (Some(text), None),
        };
        let sql = sql.and_then(Json::as_str).ok_or_else(|| {
            bad(format!("list[{at}] must be a text, [text, args] or {{\"sql\", \"args\"}}"))
        })?;
        let args = args.map_or(Ok(Arguments::default()), of_json);
        Ok((sql.to_owned(), args.map_err(|error| error.context(&format!("list[{at}]")))?))
    };
    Ok((list.iter().enumerate().map(statement).collect::<Result<_>>()?, once))
}

fn neither() -> Error {
    let text = "args must be a JSON array, such as json_array(1, 'a'), or an object with the names \
                of parameters";
    Error::new(Kind::BadArgument, text)
}

/// `c0 HIDDEN, c1 HIDDEN, ...`
pub fn column_names() -> String {
    let names: Vec<String> = (0..MOST_COLUMNS).map(|at| format!("c{at} HIDDEN")).collect();
    names.join(", ")
}

/// A value as SQL has it.
pub fn output(value: Value) -> Output {
    match value {
        Value::Null => Output::Null,
        Value::Integer(integer) => Output::Integer(integer),
        Value::Real(real) => Output::Real(real),
        Value::Text(text) => Output::Text(text),
        Value::Blob(bytes) => Output::Blob(bytes),
    }
}
