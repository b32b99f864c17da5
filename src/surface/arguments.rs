//! Reading the arguments of SQL functions.

use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::host::value::Argument;
use crate::position::Position;
use crate::replica::Awaited;
use crate::sqltext::value::Value;

/// A text that must be there.
pub fn text<'a>(name: &str, argument: &Argument<'a>) -> Result<&'a str> {
    optional_text(name, Some(argument))?
        .ok_or_else(|| bad(format!("{name} must be a text, not NULL")))
}

/// A text, or None for NULL and for an argument that is not given.
pub fn optional_text<'a>(name: &str, argument: Option<&Argument<'a>>) -> Result<Option<&'a str>> {
    match argument {
        None | Some(Argument::Null) => Ok(None),
        Some(Argument::Text(bytes)) => utf8(name, bytes).map(Some),
        Some(other) => Err(bad(format!(
            "{name} must be a text, not {}{}",
            type_name(other),
            hint(name, other)
        ))),
    }
}

/// What was probably meant.
fn hint(name: &str, argument: &Argument) -> &'static str {
    match (name, argument) {
        ("options", _) => "; such as '{\"timeout\": 5}'",
        ("sql", Argument::Blob(_)) => "; what readfile() returns becomes one by CAST(... AS TEXT)",
        _ => "",
    }
}

/// A frame number, as `replica_write` returns it: JavaScript binds all numbers
/// as reals, Perl and PHP many of them as texts.
fn frame_no(argument: &Argument) -> Result<u64> {
    let whole = match argument {
        Argument::Integer(number) => Some(*number),
        // Up to 2^53 every whole number is one.
        Argument::Real(number)
            if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 =>
        {
            Some(*number as i64)
        }
        Argument::Text(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    match whole {
        Some(number) if number >= 0 => Ok(number.unsigned_abs()),
        Some(_) => Err(bad("position must not be a negative number".to_owned())),
        None => Err(bad(format!(
            "position must be the text of that name in a result, or a frame number, not {}",
            type_name(argument)
        ))),
    }
}

/// A frame number, or the text that stands as `position` beside it.
pub fn awaited(argument: &Argument) -> Result<Awaited> {
    match argument {
        Argument::Text(bytes) if bytes.contains(&b':') => {
            let position = std::str::from_utf8(bytes).ok().and_then(Position::from_token);
            position.map(Awaited::Position).ok_or_else(|| {
                bad("position must be 12 hex digits, a colon and a frame number, as a result shows \
                     it; pass that text unchanged"
                    .to_owned())
            })
        }
        argument => frame_no(argument).map(Awaited::Frame),
    }
}

/// A time of at most a year; None for NULL.
pub fn seconds(name: &str, argument: &Argument) -> Result<Option<Duration>> {
    let seconds = match argument {
        Argument::Null => return Ok(None),
        Argument::Integer(seconds) => *seconds as f64,
        Argument::Real(seconds) => *seconds,
        Argument::Text(bytes) => std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| bad(format!("{name} must be a number of seconds, not a text")))?,
        other => {
            let text = format!("{name} must be a number of seconds, not {}", type_name(other));
            return Err(bad(text));
        }
    };
    if !(0.0..=31_536_000.0).contains(&seconds) {
        return Err(bad(format!("{name} must be between 0 and 31536000 seconds, not {seconds}")));
    }
    Ok(Some(Duration::from_secs_f64(seconds)))
}

/// The values to bind to a statement's parameters.
pub fn values(arguments: &[Argument]) -> Result<Vec<Value>> {
    let value = |(i, argument): (usize, &Argument)| {
        Ok(match argument {
            Argument::Null => Value::Null,
            Argument::Integer(integer) => Value::Integer(*integer),
            Argument::Real(real) => Value::Real(*real),
            Argument::Text(bytes) => {
                Value::Text(utf8(&format!("argument {}", i + 1), bytes)?.to_owned())
            }
            Argument::Blob(bytes) => Value::Blob(bytes.to_vec()),
        })
    };
    arguments.iter().enumerate().map(value).collect()
}

fn utf8<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes)
        .map_err(|error| bad(format!("{name} is not valid UTF-8: {error}; pass it as a blob")))
}

fn type_name(argument: &Argument) -> &'static str {
    match argument {
        Argument::Null => "NULL",
        Argument::Integer(_) => "an integer",
        Argument::Real(_) => "a real",
        Argument::Text(_) => "a text",
        Argument::Blob(_) => "a blob",
    }
}

fn bad(text: String) -> Error {
    Error::new(Kind::BadArgument, text)
}
