//! Reads Hrana's answers in protobuf, from the specification
//! (hrana3.http.proto), straight into what they mean: nothing is allocated that
//! the budget was not asked for, nor for more results than requests.

use super::budget::{Budget, Unread};
use super::{Batch, Decoded, Outcome, SqlError, protocol};
use crate::error::Error;
use crate::sqltext::statement::{Description, StatementResult};
use crate::sqltext::value::Value;

/// What an allocation costs beside its bytes.
const ALLOCATION: usize = 16;

type Result<T> = std::result::Result<T, Unread>;

/// What stands in a field.
#[derive(Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    /// Of a type that no message here has.
    Other,
}

/// The fields of a message, one after the other.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Number and content of the next field.
    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => {
                let bytes = self.bytes(8)?;
                Field::Fixed64(bytes.try_into().map_err(|_| cut_off())?)
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| cut_off())?;
                Field::Bytes(self.bytes(length)?)
            }
            5 => {
                self.bytes(4)?;
                Field::Other
            }
            _ => return Err(broken("a field of an unknown type").into()),
        };
        Ok(Some((key >> 3, field)))
    }

    fn varint(&mut self) -> Result<u64> {
        prost::encoding::decode_varint(&mut self.0)
            .map_err(|error| broken(&error.to_string()).into())
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// How often a message has the field.
    fn count(mut self, number: u64) -> Result<usize> {
        let mut count = 0;
        while let Some((field, _)) = self.next()? {
            count += usize::from(field == number);
        }
        Ok(count)
    }
}

fn cut_off() -> Error {
    broken("a message is cut off")
}

fn broken(cause: &str) -> Error {
    protocol(format!("the primary's answer cannot be read: {cause}"))
}

fn wrong_kind() -> Error {
    protocol("the primary's answer holds a result of the wrong kind")
}

/// `steps`: how many steps the batch of each request has; 0 where it is none.
pub(super) fn decode(body: &[u8], steps: &[usize], budget: &mut Budget) -> Result<Decoded> {
    let mut decoded = Decoded { baton: None, base_url: None, outcomes: Vec::new() };
    let mut fields = Fields(body);
    while let Some(field) = fields.next()? {
        match field {
            (1, Field::Bytes(baton)) => decoded.baton = Some(text(baton, budget)?),
            (2, Field::Bytes(url)) => decoded.base_url = Some(text(url, budget)?),
            (3, Field::Bytes(result)) => {
                let steps = steps.get(decoded.outcomes.len());
                let steps = steps.ok_or_else(|| {
                    protocol("the primary's answer has more results than there were requests")
                })?;
                decoded.outcomes.push(outcome(result, *steps, budget)?);
            }
            _ => {}
        }
    }
    Ok(decoded)
}

fn outcome(result: &[u8], steps: usize, budget: &mut Budget) -> Result<Outcome> {
    let (mut fields, mut outcome) = (Fields(result), None);
    while let Some(field) = fields.next()? {
        outcome = match field {
            (1, Field::Bytes(response)) => Some(self::response(response, steps, budget)?),
            (2, Field::Bytes(error)) => Some(Outcome::Failed(sql_error(error, budget)?)),
            _ => outcome,
        };
    }
    Ok(outcome.ok_or_else(wrong_kind)?)
}

fn response(response: &[u8], steps: usize, budget: &mut Budget) -> Result<Outcome> {
    let (mut fields, mut outcome) = (Fields(response), None);
    while let Some(field) = fields.next()? {
        outcome = match field {
            (1, Field::Bytes(_)) => Some(Outcome::Close),
            (2, Field::Bytes(execute)) => {
                let result = only(execute)?.ok_or_else(wrong_kind)?;
                let (result, frame_no) = statement_result(result, budget)?;
                Some(Outcome::Execute { result, frame_no })
            }
            (3, Field::Bytes(batch)) => {
                let result = only(batch)?.ok_or_else(wrong_kind)?;
                Some(Outcome::Batch(self::batch(result, steps, budget)?))
            }
            (5, Field::Bytes(describe)) => {
                let result = only(describe)?.ok_or_else(wrong_kind)?;
                Some(Outcome::Describe(description(result, budget)?))
            }
            _ => outcome,
        };
    }
    Ok(outcome.ok_or_else(wrong_kind)?)
}

/// Of a statement; its parameters, in field 1, are known from its text.
fn description(message: &[u8], budget: &mut Budget) -> Result<Description> {
    let (mut fields, mut description) = (Fields(message), Description::default());
    budget.take_each(fields.count(2)?, size_of::<(String, Option<String>)>() + ALLOCATION)?;
    while let Some(field) = fields.next()? {
        match field {
            (2, Field::Bytes(column)) => {
                let (mut fields, mut name, mut declared) = (Fields(column), String::new(), None);
                while let Some(field) = fields.next()? {
                    match field {
                        (1, Field::Bytes(bytes)) => name = text(bytes, budget)?,
                        (2, Field::Bytes(bytes)) => declared = Some(text(bytes, budget)?),
                        _ => {}
                    }
                }
                description.columns.push((name, declared));
            }
            (3, Field::Number(flag)) => description.is_explain = flag != 0,
            (4, Field::Number(flag)) => description.is_readonly = flag != 0,
            _ => {}
        }
    }
    Ok(description)
}

/// The message in field 1.
fn only(message: &[u8]) -> Result<Option<&[u8]>> {
    let (mut fields, mut found) = (Fields(message), None);
    while let Some(field) = fields.next()? {
        if let (1, Field::Bytes(bytes)) = field {
            found = Some(bytes);
        }
    }
    Ok(found)
}

/// Two maps, from the number of a step to its result, and to its error. sqld
/// leaves the replication index out.
fn batch(result: &[u8], steps: usize, budget: &mut Budget) -> Result<Batch> {
    let mut results: Vec<Option<StatementResult>> = (0..steps).map(|_| None).collect();
    let mut errors: Vec<Option<SqlError>> = (0..steps).map(|_| None).collect();
    let surplus = || protocol("the primary's answer has more steps than the request");
    let mut fields = Fields(result);
    while let Some(field) = fields.next()? {
        match field {
            (1, Field::Bytes(entry)) => {
                let (step, result) = entry_of(entry)?;
                let place = results.get_mut(step).ok_or_else(surplus)?;
                *place = Some(statement_result(result, budget)?.0);
            }
            (2, Field::Bytes(entry)) => {
                let (step, error) = entry_of(entry)?;
                let place = errors.get_mut(step).ok_or_else(surplus)?;
                *place = Some(sql_error(error, budget)?);
            }
            _ => {}
        }
    }
    Ok(Batch { results, errors, frame_no: None })
}

/// Key and value of an entry of a map.
fn entry_of(entry: &[u8]) -> Result<(usize, &[u8])> {
    let (mut fields, mut key, mut value) = (Fields(entry), 0, &[][..]);
    while let Some(field) = fields.next()? {
        match field {
            (1, Field::Number(number)) => key = usize::try_from(number).unwrap_or(usize::MAX),
            (2, Field::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

fn sql_error(error: &[u8], budget: &mut Budget) -> Result<SqlError> {
    let mut fields = Fields(error);
    let (mut message, mut code) = (String::new(), String::new());
    while let Some(field) = fields.next()? {
        match field {
            (1, Field::Bytes(bytes)) => message = text(bytes, budget)?,
            (2, Field::Bytes(bytes)) => code = text(bytes, budget)?,
            _ => {}
        }
    }
    Ok(SqlError { message, code })
}

/// The result, and the number of the primary's last frame.
fn statement_result(message: &[u8], budget: &mut Budget) -> Result<(StatementResult, Option<u64>)> {
    let fields = Fields(message);
    let (columns, rows) = (fields.count(1)?, fields.count(2)?);
    budget.take_each(columns, size_of::<String>() + ALLOCATION)?;
    budget.take_each(rows, size_of::<Vec<Value>>() + ALLOCATION)?;
    let mut result = StatementResult {
        columns: Vec::with_capacity(columns),
        rows: Vec::with_capacity(rows),
        rows_affected: Some(0),
        last_insert_rowid: None,
    };
    let mut frame_no = None;
    let mut names = fields;
    while let Some(field) = names.next()? {
        match field {
            (1, Field::Bytes(column)) => {
                result.columns.push(only(column)?.map_or(Ok(String::new()), |n| text(n, budget))?);
            }
            (3, Field::Number(count)) => result.rows_affected = Some(count),
            (4, Field::Number(rowid)) => result.last_insert_rowid = Some(signed(rowid)),
            (5, Field::Number(frame)) => frame_no = Some(frame),
            _ => {}
        }
    }
    let mut fields = fields;
    while let Some(field) = fields.next()? {
        if let (2, Field::Bytes(row)) = field {
            result.rows.push(self::row(row, columns, budget)?);
        }
    }
    Ok((result, frame_no))
}

fn row(row: &[u8], columns: usize, budget: &mut Budget) -> Result<Vec<Value>> {
    let mut fields = Fields(row);
    if fields.count(1)? != columns {
        let text = "the primary's row has another number of values than columns";
        return Err(protocol(text).into());
    }
    budget.take_each(columns, size_of::<Value>())?;
    let mut values = Vec::with_capacity(columns);
    while let Some(field) = fields.next()? {
        if let (1, Field::Bytes(value)) = field {
            values.push(self::value(value, budget)?);
        } else if field.0 == 1 {
            return Err(wrong_kind().into());
        }
    }
    Ok(values)
}

fn value(value: &[u8], budget: &mut Budget) -> Result<Value> {
    let (mut fields, mut found) = (Fields(value), None);
    while let Some(field) = fields.next()? {
        found = match field {
            (1, Field::Bytes(_)) => Some(Value::Null),
            (2, Field::Number(number)) => Some(Value::Integer(signed(number))),
            (3, Field::Fixed64(bytes)) => Some(Value::Real(f64::from_le_bytes(bytes))),
            (4, Field::Bytes(bytes)) => Some(Value::Text(text(bytes, budget)?)),
            (5, Field::Bytes(bytes)) => {
                budget.take(bytes.len() + ALLOCATION)?;
                Some(Value::Blob(bytes.to_vec()))
            }
            _ => found,
        };
    }
    Ok(found.ok_or_else(|| protocol("the primary's answer holds a value without a type"))?)
}

/// Zigzag: the sign is in the lowest bit.
fn signed(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn text(bytes: &[u8], budget: &mut Budget) -> Result<String> {
    budget.take(bytes.len() + ALLOCATION)?;
    let text = std::str::from_utf8(bytes).map_err(|_| broken("a text is not UTF-8"))?;
    Ok(text.to_owned())
}
