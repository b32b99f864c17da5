//! How the value of an option is read.

use std::time::Duration;

use serde_json::Value;

use super::bad;
use crate::error::{Error, Result};
use crate::options::{AfterReset, OnConflict, OnReset};
use crate::secret::Secret;
use crate::units::MB;

pub(super) fn integers(value: &Value) -> Result<bool> {
    match value.as_str() {
        Some("number") => Ok(false),
        Some("text") => Ok(true),
        _ => Err(bad(format!("must be \"number\" or \"text\", not {value}"))),
    }
}

pub(super) fn on_schema(value: &Value) -> Result<bool> {
    match value.as_str() {
        Some("keep") => Ok(false),
        Some("publish") => Ok(true),
        _ => Err(bad(format!("must be \"keep\" or \"publish\", not {value}"))),
    }
}

pub(super) fn seconds(value: &Value) -> Result<Duration> {
    let duration = seconds_or_zero(value)?;
    if duration.is_zero() {
        return Err(bad("must be more than 0 seconds"));
    }
    Ok(duration)
}

/// Shorter ones would be a loop without a pause.
pub(super) fn interval(value: &Value) -> Result<Duration> {
    let interval = seconds(value)?;
    if interval < Duration::from_millis(10) {
        return Err(bad("must be at least 0.01 seconds; for less use live"));
    }
    Ok(interval)
}

/// At most a year: longer ones overflow clocks.
pub(super) fn seconds_or_zero(value: &Value) -> Result<Duration> {
    value
        .as_f64()
        .filter(|seconds| (0.0..=31_536_000.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| must_be("a number of seconds", value))
}

/// Up to a terabyte: more is no limit.
pub(super) fn megabytes(value: &Value) -> Result<usize> {
    value
        .as_f64()
        .filter(|number| (0.001..=1_048_576.0).contains(number))
        .map(|number| (number * MB as f64) as usize)
        .ok_or_else(|| must_be("a number of MB", value))
}

pub(super) fn boolean(value: &Value) -> Result<bool> {
    match value {
        Value::Bool(value) => Ok(*value),
        // SQLite's JSON functions make 0 and 1 of what SQL calls true and false.
        Value::Number(number) if number.as_u64() == Some(0) => Ok(false),
        Value::Number(number) if number.as_u64() == Some(1) => Ok(true),
        _ => Err(must_be("true or false", value)),
    }
}

pub(super) fn text(value: &Value) -> Result<String> {
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(must_be("a text", value)),
    }
}

/// A text that no error repeats, whatever it is.
pub(super) fn secret(value: &Value) -> Result<Secret> {
    secret_that("must be a text that is not empty", value)
}

/// A password may be in it.
pub(super) fn proxy(value: &Value) -> Result<Secret> {
    secret_that("must be the URL of a proxy, or \"none\"", value)
}

fn secret_that(must: &str, value: &Value) -> Result<Secret> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(Secret::from).ok_or_else(|| bad(must))
}

/// What SQLite can take in a URI; a colon begins the names that are not given
/// by anyone.
pub(super) fn share(value: &Value) -> Result<String> {
    match value.as_str() {
        Some(name)
            if (1..=1000).contains(&name.len())
                && !name.contains('\0')
                && !name.starts_with(':') =>
        {
            Ok(name.to_owned())
        }
        _ => Err(must_be("a name of at most 1000 bytes that does not begin with a colon", value)),
    }
}

pub(super) fn on_reset(value: &Value) -> Result<OnReset> {
    match value.as_str() {
        Some("auto") => Ok(OnReset::Auto),
        Some("replace") => Ok(OnReset::Replace),
        Some("error") => Ok(OnReset::Error),
        _ => Err(must_be("\"auto\", \"replace\" or \"error\"", value)),
    }
}

pub(super) fn on_conflict(value: &Value) -> Result<OnConflict> {
    match value.as_str() {
        Some("set_aside") => Ok(OnConflict::SetAside),
        Some("stop") => Ok(OnConflict::Stop),
        _ => Err(must_be("\"set_aside\" or \"stop\"", value)),
    }
}

pub(super) fn after_reset(value: &Value) -> Result<AfterReset> {
    match value.as_str() {
        Some("proved") => Ok(AfterReset::Proved),
        Some("always") => Ok(AfterReset::Always),
        Some("never") => Ok(AfterReset::Never),
        _ => Err(must_be("\"proved\", \"always\" or \"never\"", value)),
    }
}

pub(super) fn protocol(value: &Value) -> Result<Option<String>> {
    match value.as_str() {
        Some("auto") => Ok(None),
        Some(protocol @ ("sqld" | "turso")) => Ok(Some(protocol.to_owned())),
        _ => Err(must_be("\"auto\", \"sqld\" or \"turso\"", value)),
    }
}

fn must_be(what: &str, value: &Value) -> Error {
    bad(format!("must be {what}, not {value}"))
}
