//! The options of `replica_attach` and `replica_sync`: a JSON object.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::error::{Error, Kind, Result};

/// What to do when the primary's history is not the one the file follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReset {
    /// Replace the file's content atomically, unless the primary holds nothing:
    /// then the file may be the last copy.
    #[default]
    Auto,
    /// Replace the file's content whatever the primary holds.
    Replace,
    /// Leave the file as it is and say so.
    Error,
}

/// Options of `replica_attach`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub sync_interval: Option<Duration>,
    pub live: bool,
    pub read_your_writes: bool,
    pub namespace: Option<String>,
    /// For each wait on the network.
    pub timeout: Duration,
    /// For each wait on a local lock.
    pub busy_timeout: Duration,
    pub ca_file: Option<PathBuf>,
    pub on_reset: OnReset,
    pub protocol: Option<String>,
    pub first_sync: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            sync_interval: None,
            live: false,
            read_your_writes: true,
            namespace: None,
            timeout: Duration::from_secs(30),
            busy_timeout: Duration::from_secs(5),
            ca_file: None,
            on_reset: OnReset::Auto,
            protocol: None,
            first_sync: true,
        }
    }
}

/// Options of one `replica_sync`; None keeps what the attach said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SyncOptions {
    pub timeout: Option<Duration>,
    pub on_reset: Option<OnReset>,
}

/// The names that `replica_attach` knows, for its error message.
const NAMES: &str = "sync_interval, live, read_your_writes, namespace, timeout, busy_timeout, \
                     ca_file, on_reset, protocol, first_sync";

impl Options {
    pub fn parse(json: &str) -> Result<Options> {
        let mut options = Options::default();
        for (name, value) in &object(json)? {
            match name.as_str() {
                "sync_interval" => options.sync_interval = Some(interval(name, value)?),
                "live" => options.live = boolean(name, value)?,
                "read_your_writes" => options.read_your_writes = boolean(name, value)?,
                "namespace" => options.namespace = Some(text(name, value)?),
                "timeout" => options.timeout = seconds(name, value)?,
                "busy_timeout" => options.busy_timeout = seconds_or_zero(name, value)?,
                "ca_file" => options.ca_file = Some(PathBuf::from(text(name, value)?)),
                "on_reset" => options.on_reset = on_reset(name, value)?,
                "protocol" => options.protocol = protocol(name, value)?,
                "first_sync" => options.first_sync = boolean(name, value)?,
                _ => return Err(unknown(name, NAMES)),
            }
        }
        Ok(options)
    }
}

impl SyncOptions {
    pub fn parse(json: &str) -> Result<SyncOptions> {
        let mut options = SyncOptions::default();
        for (name, value) in &object(json)? {
            match name.as_str() {
                "timeout" => options.timeout = Some(seconds(name, value)?),
                "on_reset" => options.on_reset = Some(on_reset(name, value)?),
                _ => return Err(unknown(name, "timeout, on_reset")),
            }
        }
        Ok(options)
    }
}

fn object(json: &str) -> Result<Map<String, Value>> {
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(bad("options: must be a JSON object, such as {\"timeout\": 10}")),
        Err(error) => Err(bad(format!("options: not valid JSON: {error}"))),
    }
}

fn seconds(name: &str, value: &Value) -> Result<Duration> {
    let duration = seconds_or_zero(name, value)?;
    if duration.is_zero() {
        return Err(bad(format!("option {name}: must be more than 0 seconds")));
    }
    Ok(duration)
}

/// Shorter ones would be a loop without a pause.
fn interval(name: &str, value: &Value) -> Result<Duration> {
    let interval = seconds(name, value)?;
    if interval < Duration::from_millis(10) {
        return Err(bad(format!(
            "option {name}: must be at least 0.01 seconds; for less use live"
        )));
    }
    Ok(interval)
}

/// At most a year: longer ones overflow clocks.
fn seconds_or_zero(name: &str, value: &Value) -> Result<Duration> {
    value
        .as_f64()
        .filter(|seconds| (0.0..=31_536_000.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| bad(format!("option {name}: must be a number of seconds, not {value}")))
}

fn boolean(name: &str, value: &Value) -> Result<bool> {
    match value {
        Value::Bool(value) => Ok(*value),
        // SQLite's JSON functions make 0 and 1 of what SQL calls true and false.
        Value::Number(number) if number.as_u64() == Some(0) => Ok(false),
        Value::Number(number) if number.as_u64() == Some(1) => Ok(true),
        _ => Err(bad(format!("option {name}: must be true or false, not {value}"))),
    }
}

fn text(name: &str, value: &Value) -> Result<String> {
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(bad(format!("option {name}: must be a text, not {value}"))),
    }
}

fn on_reset(name: &str, value: &Value) -> Result<OnReset> {
    match value.as_str() {
        Some("auto") => Ok(OnReset::Auto),
        Some("replace") => Ok(OnReset::Replace),
        Some("error") => Ok(OnReset::Error),
        _ => Err(bad(format!(
            "option {name}: must be \"auto\", \"replace\" or \"error\", not {value}"
        ))),
    }
}

fn protocol(name: &str, value: &Value) -> Result<Option<String>> {
    match value.as_str() {
        Some("auto") => Ok(None),
        Some(protocol @ ("sqld" | "turso")) => Ok(Some(protocol.to_owned())),
        _ => {
            Err(bad(format!("option {name}: must be \"auto\", \"sqld\" or \"turso\", not {value}")))
        }
    }
}

fn unknown(name: &str, known: &str) -> Error {
    bad(format!("unknown option \"{name}\"; the options are {known}"))
}

fn bad(text: impl Into<String>) -> Error {
    Error::new(Kind::BadArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_options_are_read() {
        let json = r#"{"sync_interval": 0.5, "live": 1, "read_your_writes": false,
            "namespace": "n", "timeout": 3, "busy_timeout": 0, "ca_file": "/c",
            "on_reset": "error", "protocol": "sqld", "first_sync": false}"#;
        let expected = Options {
            sync_interval: Some(Duration::from_millis(500)),
            live: true,
            read_your_writes: false,
            namespace: Some("n".into()),
            timeout: Duration::from_secs(3),
            busy_timeout: Duration::ZERO,
            ca_file: Some("/c".into()),
            on_reset: OnReset::Error,
            protocol: Some("sqld".into()),
            first_sync: false,
        };
        assert_eq!(Options::parse(json), Ok(expected));
        assert_eq!(Options::parse("{}"), Ok(Options::default()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (json, text) in [
            ("[]", "options: must be a JSON object, such as {\"timeout\": 10}"),
            (
                "{\"sync\": 1}",
                "unknown option \"sync\"; the options are sync_interval, live, \
              read_your_writes, namespace, timeout, busy_timeout, ca_file, on_reset, protocol, \
              first_sync",
            ),
            ("{\"timeout\": 0}", "option timeout: must be more than 0 seconds"),
            ("{\"timeout\": -1}", "option timeout: must be a number of seconds, not -1"),
            ("{\"timeout\": 1e99}", "option timeout: must be a number of seconds, not 1e+99"),
            ("{\"live\": \"yes\"}", "option live: must be true or false, not \"yes\""),
            ("{\"ca_file\": \"\"}", "option ca_file: must be a text, not \"\""),
            (
                "{\"on_reset\": null}",
                "option on_reset: must be \"auto\", \"replace\" or \
              \"error\", not null",
            ),
        ] {
            assert_eq!(Options::parse(json).unwrap_err().to_string(), text);
        }
    }
}
