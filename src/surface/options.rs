//! The options of `replica_attach` and `replica_sync`: a JSON object.
//!
//! A table has a row for each: its name, what it is without being given, what
//! it means, and how its value is read. All that lists options reads the table.

mod readers;

use std::path::PathBuf;

use serde_json::{Map, Value};
use zeroize::Zeroize as _;

use self::readers::*;
use crate::error::{Error, Kind, Result};
use crate::options::{DeliverOptions, Options, SyncOptions};

/// An option of the function whose options are an `O`.
pub struct Known<O> {
    pub name: &'static str,
    /// As docs/reference.md shows it.
    pub default: &'static str,
    pub help: &'static str,
    read: fn(&mut O, &Value) -> Result<()>,
}

/// Those of `replica_attach`.
pub const ATTACH: &[Known<Options>] = &[
    Known {
        name: "live",
        default: "false",
        help: "a worker keeps a stream of the primary's log open: commits arrive within milliseconds",
        read: |options, value| set(&mut options.live, boolean(value)),
    },
    Known {
        name: "sync_interval",
        default: "–",
        help: "a worker pulls every so many seconds (fractions allowed); not with `live`",
        read: |options, value| set(&mut options.sync_interval, interval(value).map(Some)),
    },
    Known {
        name: "read_your_writes",
        default: "true",
        help: "`replica_write` returns when the file holds the write",
        read: |options, value| set(&mut options.read_your_writes, boolean(value)),
    },
    Known {
        name: "timeout",
        default: "30",
        help: "seconds for each step of a request: connecting, sending a piece, the head of the \
               answer, the next bytes of a pull, a small answer as a whole",
        read: |options, value| set(&mut options.timeout, seconds(value)),
    },
    Known {
        name: "busy_timeout",
        default: "5",
        help: "seconds for each wait on a local lock",
        read: |options, value| set(&mut options.busy_timeout, seconds_or_zero(value)),
    },
    Known {
        name: "namespace",
        default: "–",
        help: "database on a primary with several; without it the first part of a dotted host name is taken, as libsql does",
        read: |options, value| set(&mut options.namespace, text(value).map(Some)),
    },
    Known {
        name: "ca_file",
        default: "`SSL_CERT_FILE`, else built-in roots",
        help: "PEM file with the certificate authorities to trust instead",
        read: |options, value| set(&mut options.ca_file, text(value).map(PathBuf::from).map(Some)),
    },
    Known {
        name: "encryption_key",
        default: "`TURSO_DB_REMOTE_ENCRYPTION_KEY`",
        help: "key of a database that Turso encrypts; sent with each request, shown nowhere",
        read: |options, value| set(&mut options.encryption_key, secret(value).map(Some)),
    },
    Known {
        name: "proxy",
        default: "`HTTPS_PROXY`, `NO_PROXY`, …",
        help: "URL of an HTTP proxy that leads to the primary, with user name and password if it \
               wants them; `\"none\"` leaves out that of the environment",
        read: |options, value| set(&mut options.proxy, proxy(value).map(Some)),
    },
    Known {
        name: "max_answer",
        default: "32",
        help: "MB that an answer to `replica_write` or `replica_query` may take in memory",
        read: |options, value| set(&mut options.max_answer, megabytes(value)),
    },
    Known {
        name: "on_reset",
        default: "`\"auto\"`",
        help: "when the primary no longer has this file's history (restored, wiped, crashed): \
               `\"auto\"` replaces the content atomically unless the primary is empty, \
               `\"replace\"` does so always, `\"error\"` never",
        read: |options, value| set(&mut options.on_reset, on_reset(value)),
    },
    Known {
        name: "protocol",
        default: "`\"auto\"`",
        help: "`\"sqld\"` or `\"turso\"`",
        read: |options, value| set(&mut options.protocol, protocol(value)),
    },
    Known {
        name: "first_sync",
        default: "true",
        help: "false attaches an empty file without a sync",
        read: |options, value| set(&mut options.first_sync, boolean(value)),
    },
    Known {
        name: "trusted_schema",
        default: "false",
        help: "false switches SQLite's `trusted_schema` off on this connection: the primary's \
               schema cannot call functions of your program; true leaves it as it is",
        read: |options, value| set(&mut options.trusted_schema, boolean(value)),
    },
    Known {
        name: "on_schema",
        default: "`\"keep\"`",
        help: "when this SQLite cannot read a schema that the primary understands: `\"keep\"` says \
               which object it is and leaves the file at the last readable state, `\"publish\"` \
               follows all the same",
        read: |options, value| set(&mut options.publish_unreadable_schema, on_schema(value)),
    },
    Known {
        name: "writes",
        default: "true",
        help: "false refuses everything that writes on the primary, and `replica_promote`",
        read: |options, value| set(&mut options.writes, boolean(value)),
    },
    Known {
        name: "new_primary",
        default: "false",
        help: "true lets a file follow another primary, or namespace, than it did; its content is \
               replaced then",
        read: |options, value| set(&mut options.new_primary, boolean(value)),
    },
    Known {
        name: "token_file",
        default: "–",
        help: "file with the primary's URL in its first line and the token in its second, that \
               nobody else may read (`chmod 600`)",
        read: |options, value| {
            set(&mut options.token_file, text(value).map(PathBuf::from).map(Some))
        },
    },
    Known {
        name: "token_over_http",
        default: "false",
        help: "true lets a token go over plain HTTP to another machine, where anybody on the way \
               can read it",
        read: |options, value| set(&mut options.token_over_http, boolean(value)),
    },
    Known {
        name: "max_size",
        default: "–",
        help: "MB that the database may have; a pull that would make it larger is refused. So is \
               one beyond `PRAGMA max_page_count` of this connection, which attach and \
               `replica_sync` ask for",
        read: |options, value| set(&mut options.max_size, megabytes(value).map(Some)),
    },
    Known {
        name: "integers",
        default: "`\"number\"`",
        help: "`\"text\"` writes the integers of results in JSON as text: JavaScript and jq read JSON's \
               numbers with 53 bits",
        read: |options, value| set(&mut options.integers_as_text, integers(value)),
    },
    Known {
        name: "local_transactions",
        default: "true",
        help: "`replica_begin` opens a local transaction too, and whoever ends it (a pool, `COMMIT`) \
               ends the one on the primary; false leaves them apart",
        read: |options, value| set(&mut options.local_transactions, boolean(value)),
    },
    Known {
        name: "share",
        default: "–",
        help: "for a connection on `:memory:`: all connections of the process that give this name \
               share one replica in memory",
        read: |options, value| set(&mut options.share, share(value).map(Some)),
    },
    Known {
        name: "keep_wal",
        default: "false",
        help: "true leaves `-wal` and `-shm` beside the database when nobody has it open, so that a \
               user who may only read the files reads it then too",
        read: |options, value| set(&mut options.keep_wal, boolean(value)),
    },
    Known {
        name: "exactly_once",
        default: "false",
        help: "true leaves the id of each write on the primary (table `_replica_writes`): after a \
               lost answer the outcome is found out, and what has not happened is repeated",
        read: |options, value| set(&mut options.exactly_once, boolean(value)),
    },
    Known {
        name: "log",
        default: "–",
        help: "file to which the worker writes a line when it loses the primary and one when it has \
               it back; made with mode 600, begun anew at 1 MB",
        read: |options, value| set(&mut options.log, text(value).map(PathBuf::from).map(Some)),
    },
    Known {
        name: "offline_writes",
        default: "false",
        help: "true lets `replica_write` queue a write whose primary cannot be reached \
               ([offline](offline.md#without-a-network)); `exactly_once` is on then",
        read: |options, value| set(&mut options.offline_writes, boolean(value)),
    },
    Known {
        name: "on_conflict",
        default: "`\"set_aside\"`",
        help: "when the primary refuses a queued write: `\"set_aside\"` goes on with the next one, \
               `\"stop\"` lets those behind it wait until you decide",
        read: |options, value| set(&mut options.on_conflict, on_conflict(value)),
    },
    Known {
        name: "deliver_after_reset",
        default: "`\"proved\"`",
        help: "whether queued writes go to a primary whose history is another one than when they \
               were queued: `\"proved\"` if it still has the last write known from here, \
               `\"always\"`, `\"never\"`",
        read: |options, value| set(&mut options.deliver_after_reset, after_reset(value)),
    },
];

/// Those of one `replica_sync`; what is not given stays as the attach said.
pub const SYNC: &[Known<SyncOptions>] = &[
    Known {
        name: "timeout",
        default: "of the attach",
        help: "seconds for each wait on the network",
        read: |options, value| set(&mut options.timeout, seconds(value).map(Some)),
    },
    Known {
        name: "on_reset",
        default: "of the attach",
        help: "what to do when the primary's history is another one",
        read: |options, value| set(&mut options.on_reset, on_reset(value).map(Some)),
    },
];

/// Those of one `replica_deliver`.
pub const DELIVER: &[Known<DeliverOptions>] = &[
    Known {
        name: "timeout",
        default: "of the attach",
        help: "seconds for each wait on the network",
        read: |options, value| set(&mut options.timeout, seconds(value).map(Some)),
    },
    Known {
        name: "after_reset",
        default: "of the attach",
        help: "whether to deliver to a primary whose history is another one",
        read: |options, value| set(&mut options.after_reset, after_reset(value).map(Some)),
    },
];

/// Reads the options that the JSON object gives; the others stay at their
/// defaults.
pub fn parse<O: Default>(known: &[Known<O>], json: &str) -> Result<O> {
    let mut options = O::default();
    for (name, value) in &object(json)?.0 {
        let Some(option) = known.iter().find(|option| option.name == name) else {
            let names: Vec<&str> = known.iter().map(|option| option.name).collect();
            let names = names.join(", ");
            return Err(bad(format!("unknown option \"{name}\"; the options are {names}")));
        };
        (option.read)(&mut options, value)
            .map_err(|error| error.context(&format!("option {name}")))?;
    }
    Ok(options)
}

/// Its texts are wiped afterwards: one may be a key.
struct Object(Map<String, Value>);

impl Drop for Object {
    fn drop(&mut self) {
        for value in self.0.values_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}

fn object(json: &str) -> Result<Object> {
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => Ok(Object(object)),
        Ok(_) => Err(bad("options: must be a JSON object, such as {\"timeout\": 10}")),
        Err(error) => {
            Err(bad(format!("options: not valid JSON: {error}; such as {{\"timeout\": 10}}")))
        }
    }
}

fn set<T>(place: &mut T, value: Result<T>) -> Result<()> {
    *place = value?;
    Ok(())
}

fn bad(text: impl Into<String>) -> Error {
    Error::new(Kind::BadArgument, text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::options::{AfterReset, OnConflict, OnReset};
    use crate::units::MB;

    #[test]
    fn all_options_are_read() {
        let json = r#"{"sync_interval": 0.5, "live": 1, "read_your_writes": false,
            "namespace": "n", "timeout": 3, "busy_timeout": 0, "ca_file": "/c", "max_answer": 64, "encryption_key": "k",
            "proxy": "none",
            "on_reset": "error", "protocol": "sqld", "first_sync": false, "trusted_schema": true,
            "writes": false, "new_primary": true, "token_file": "/t", "token_over_http": true,
            "on_schema": "publish", "max_size": 0.5, "integers": "text",
            "local_transactions": false, "share": "s", "keep_wal": true, "exactly_once": true, "log": "/l",
            "offline_writes": true, "on_conflict": "stop", "deliver_after_reset": "never"}"#;
        let expected = Options {
            sync_interval: Some(Duration::from_millis(500)),
            live: true,
            read_your_writes: false,
            namespace: Some("n".into()),
            timeout: Duration::from_secs(3),
            busy_timeout: Duration::ZERO,
            ca_file: Some("/c".into()),
            max_answer: 64 * MB,
            encryption_key: Some("k".into()),
            proxy: Some("none".into()),
            on_reset: OnReset::Error,
            protocol: Some("sqld".into()),
            first_sync: false,
            trusted_schema: true,
            publish_unreadable_schema: true,
            writes: false,
            new_primary: true,
            token_file: Some("/t".into()),
            token_over_http: true,
            max_size: Some(MB / 2),
            integers_as_text: true,
            local_transactions: false,
            share: Some("s".into()),
            keep_wal: true,
            exactly_once: true,
            log: Some("/l".into()),
            offline_writes: true,
            on_conflict: OnConflict::Stop,
            deliver_after_reset: AfterReset::Never,
        };
        assert_eq!(parse(ATTACH, json), Ok(expected));
        assert_eq!(parse(ATTACH, "{}"), Ok(Options::default()));
        let expected =
            SyncOptions { timeout: Some(Duration::from_secs(3)), on_reset: Some(OnReset::Auto) };
        assert_eq!(parse(SYNC, r#"{"timeout": 3, "on_reset": "auto"}"#), Ok(expected));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let names: Vec<&str> = ATTACH.iter().map(|option| option.name).collect();
        let text = format!("unknown option \"sync\"; the options are {}", names.join(", "));
        assert_eq!(parse(ATTACH, "{\"sync\": 1}").unwrap_err().to_string(), text);
        for (json, text) in [
            ("[]", "options: must be a JSON object, such as {\"timeout\": 10}"),
            ("{\"max_size\": \"1 GB\"}", "option max_size: must be a number of MB, not \"1 GB\""),
            ("{\"timeout\": 0}", "option timeout: must be more than 0 seconds"),
            ("{\"timeout\": -1}", "option timeout: must be a number of seconds, not -1"),
            ("{\"timeout\": 1e99}", "option timeout: must be a number of seconds, not 1e+99"),
            (
                "{\"encryption_key\": 1234}",
                "option encryption_key: must be a text that is not empty",
            ),
            ("{\"live\": \"yes\"}", "option live: must be true or false, not \"yes\""),
            ("{\"ca_file\": \"\"}", "option ca_file: must be a text, not \"\""),
            (
                "{\"share\": \":memory:\"}",
                "option share: must be a name of at most 1000 bytes that does not begin with a \
                 colon, not \":memory:\"",
            ),
            (
                "{\"on_reset\": null}",
                "option on_reset: must be \"auto\", \"replace\" or \"error\", not null",
            ),
        ] {
            assert_eq!(parse(ATTACH, json).unwrap_err().to_string(), text);
        }
    }
}
