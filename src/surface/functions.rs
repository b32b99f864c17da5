//! The table of SQL functions, and the bodies of those that govern a replica.

use std::path::Path;

use super::arguments::{awaited, optional_text, seconds, text};
use super::permit::{Effect, Lock};
use super::{Connection, health_table, help, json, let_go, options, outbox, status_table, writes};
use crate::error::{Error, Kind, Result};
use crate::host::memory::reopen::refresh as refresh_in_memory;
use crate::host::value::{Argument, Output};
use crate::host::{libversion, sourceid};
use crate::options::{Options, SyncOptions};
use crate::replica::{Replica, Request};

type Body = fn(&Connection, &[Argument]) -> Result<Output>;

pub struct Function {
    pub name: &'static str,
    /// Numbers of arguments that it takes; -1 is any number.
    pub arities: &'static [i32],
    pub effect: Effect,
    /// It does something on the primary: for one row of a statement once.
    pub once: bool,
    pub body: Body,
}

pub const ALL: &[Function] = &[
    Function {
        name: "replica_attach",
        arities: &[0, 1, 2, 3],
        effect: Effect::Governs,
        once: false,
        body: attach,
    },
    Function {
        name: "replica_begin",
        arities: &[0, 1],
        effect: Effect::Reads,
        once: true,
        body: writes::begin,
    },
    Function {
        name: "replica_commit",
        arities: &[0],
        effect: Effect::Reads,
        once: true,
        body: writes::commit,
    },
    Function {
        name: "replica_debug",
        arities: &[0],
        effect: Effect::Reads,
        once: false,
        body: debug,
    },
    Function {
        name: "replica_deliver",
        arities: &[0, 1],
        effect: Effect::Writes,
        once: false,
        body: outbox::deliver,
    },
    Function {
        name: "replica_describe",
        arities: &[1],
        effect: Effect::Reads,
        once: false,
        body: describe,
    },
    Function {
        name: "replica_detach",
        arities: &[0],
        effect: Effect::Governs,
        once: false,
        body: detach,
    },
    Function {
        name: "replica_discard",
        arities: &[1],
        effect: Effect::Writes,
        once: true,
        body: outbox::discard,
    },
    Function {
        name: "replica_enqueue",
        arities: &[-1],
        effect: Effect::Writes,
        once: true,
        body: outbox::enqueue,
    },
    Function {
        name: "replica_error",
        arities: &[0],
        effect: Effect::Reads,
        once: false,
        body: error,
    },
    Function {
        name: "replica_health",
        arities: &[0, 1, 2],
        effect: Effect::Reads,
        once: false,
        body: health_table::as_json,
    },
    Function {
        name: "replica_help",
        arities: &[0],
        effect: Effect::Reads,
        once: false,
        body: |_, _| Ok(Output::Text(help::as_text())),
    },
    Function {
        name: "replica_lock",
        arities: &[0, 1],
        effect: Effect::Reads,
        once: false,
        body: lock,
    },
    Function {
        name: "replica_migrate",
        arities: &[1],
        effect: Effect::Writes,
        once: true,
        body: writes::migrate,
    },
    Function {
        name: "replica_outcome",
        arities: &[1],
        effect: Effect::Writes,
        once: false,
        body: writes::outcome,
    },
    Function {
        name: "replica_outbox",
        arities: &[0],
        effect: Effect::Reads,
        once: false,
        body: |_, _| Err(is_a_table("SELECT * FROM replica_outbox")),
    },
    Function {
        name: "replica_pending",
        arities: &[0],
        effect: Effect::Reads,
        once: false,
        body: |_, _| Err(is_a_table("SELECT * FROM replica_pending")),
    },
    Function {
        name: "replica_promote",
        arities: &[0],
        effect: Effect::Promotes,
        once: true,
        body: promote,
    },
    Function {
        name: "replica_query",
        arities: &[1, 2],
        effect: Effect::Reads,
        once: false,
        body: |_, _| Err(is_a_table("SELECT row ->> 0 FROM replica_query('SELECT ...')")),
    },
    Function {
        name: "replica_repair",
        arities: &[1],
        effect: Effect::Governs,
        once: false,
        body: repair,
    },
    Function {
        name: "replica_retry",
        arities: &[1],
        effect: Effect::Writes,
        once: true,
        body: outbox::retry,
    },
    Function {
        name: "replica_rollback",
        arities: &[0],
        effect: Effect::Reads,
        once: true,
        body: writes::rollback,
    },
    Function {
        name: "replica_script",
        arities: &[1],
        effect: Effect::Writes,
        once: true,
        body: writes::script,
    },
    Function {
        name: "replica_schema_notes",
        arities: &[0],
        effect: Effect::Reads,
        once: false,
        body: |_, _| Err(is_a_table("SELECT * FROM replica_schema_notes")),
    },
    Function {
        name: "replica_set_token",
        arities: &[1],
        effect: Effect::Governs,
        once: false,
        body: set_token,
    },
    Function {
        name: "replica_split",
        arities: &[1],
        effect: Effect::Reads,
        once: false,
        body: split,
    },
    Function {
        name: "replica_status",
        arities: &[0],
        effect: Effect::Reads,
        once: false,
        body: status,
    },
    Function {
        name: "replica_sync",
        arities: &[0, 1],
        effect: Effect::Reads,
        once: false,
        body: sync,
    },
    Function {
        name: "replica_transaction",
        arities: &[0],
        effect: Effect::Reads,
        once: false,
        body: writes::transaction,
    },
    Function {
        name: "replica_sync_progress",
        arities: &[0, 1],
        effect: Effect::Reads,
        once: false,
        body: |_, _| Err(is_a_table("SELECT * FROM replica_sync_progress")),
    },
    Function {
        name: "replica_version",
        arities: &[0],
        effect: Effect::Reads,
        once: false,
        body: version,
    },
    Function {
        name: "replica_wait",
        arities: &[1, 2],
        effect: Effect::Reads,
        once: false,
        body: wait,
    },
    Function {
        name: "replica_write",
        arities: &[-1],
        effect: Effect::Writes,
        once: true,
        body: writes::write,
    },
    Function {
        name: "replica_write_args",
        arities: &[2],
        effect: Effect::Writes,
        once: true,
        body: writes::write_args,
    },
    Function {
        name: "replica_write_many",
        arities: &[1],
        effect: Effect::Writes,
        once: true,
        body: writes::write_many,
    },
];

fn version(_: &Connection, _: &[Argument]) -> Result<Output> {
    Ok(Output::Text(concat!("v", env!("CARGO_PKG_VERSION")).to_owned()))
}

fn debug(_: &Connection, _: &[Argument]) -> Result<Output> {
    Ok(Output::Text(format!(
        "version: v{}\ncommit: {}\nbuilt: {}\nsqlite: {} {}\ntls: rustls with ring, webpki roots",
        env!("CARGO_PKG_VERSION"),
        env!("REPLICA_COMMIT"),
        env!("REPLICA_BUILD_DATE"),
        libversion(),
        sourceid(),
    )))
}

/// `replica_attach([sync_url [, token [, options]]])`: JSON, the status row.
fn attach(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let url = optional_text("sync_url", args.first())?;
    let token = token(args.get(1))?;
    let options = match optional_text("options", args.get(2))? {
        Some(json) => options::parse(options::ATTACH, json)?,
        None => Options::default(),
    };
    let mut attached = connection.replica.try_borrow_mut().map_err(|_| in_use())?;
    let request = Request::new(url, token, options)?;
    if let Some(present) = attached.as_ref().filter(|present| !present.is_forked()) {
        present.check_same_primary(&request)?;
    }
    let replica = Replica::attach(connection.host, request)?;
    let status = status_table::as_json(&replica.status()?);
    let_go(attached.replace(replica));
    Ok(Output::Json(status))
}

/// `replica_status()`: JSON, the status row; NULL while nothing is attached. A
/// table needs a schema that SQLite can read, and this does not.
fn status(connection: &Connection, _: &[Argument]) -> Result<Output> {
    if !connection.is_attached() {
        return Ok(Output::Null);
    }
    let status = connection.with_replica(Replica::status)?;
    Ok(Output::Json(status_table::as_json(&status)))
}

/// `replica_sync([options])`: JSON, what was done.
fn sync(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let options = match optional_text("options", args.first())? {
        Some(json) => options::parse(options::SYNC, json)?,
        None => SyncOptions::default(),
    };
    if options.on_reset.is_some() {
        connection.permit_other_content()?;
    }
    let host = connection.host;
    let report = connection.with_replica(|replica| replica.sync(host, options))?;
    connection.see_schema();
    Ok(Output::Json(json::sync(&report)))
}

/// `replica_describe(sql)`: JSON, what a statement is, without running it.
fn describe(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let sql = text("sql", &args[0])?;
    let described = connection.with_replica(|replica| replica.describe(sql))?;
    Ok(Output::Json(json::described(&described)))
}

/// `replica_split(text)`: JSON, the statements of a text.
fn split(_: &Connection, args: &[Argument]) -> Result<Output> {
    let statements = crate::replica::split(text("text", &args[0])?)?;
    Ok(Output::Json(json::columns(&statements)))
}

/// `replica_error()`: JSON, the last error of this connection in parts.
fn error(connection: &Connection, _: &[Argument]) -> Result<Output> {
    Ok(connection.last_error().map_or(Output::Null, Output::Json))
}

/// `replica_wait(frame_no or position [, timeout_s])`: the last frame that the file holds.
fn wait(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let wanted = awaited(&args[0])?;
    let timeout = args.get(1).map(|timeout| seconds("timeout", timeout)).transpose()?.flatten();
    let at = connection.with_replica(|replica| replica.wait(wanted, timeout))?;
    Ok(i64::try_from(at).ok().into())
}

/// `replica_set_token(token)`: NULL takes it away.
fn set_token(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let token = token(args.first())?;
    connection.with_replica(|replica| replica.set_token(token))?;
    Ok(Output::Null)
}

/// `replica_repair(path)`: empties a replica that no statement can be run on.
fn repair(connection: &Connection, args: &[Argument]) -> Result<Output> {
    crate::replica::repair(connection.host, Path::new(text("path", &args[0])?))?;
    Ok(Output::Null)
}

/// `replica_detach()`: 1, or 0 where nothing was attached.
fn detach(connection: &Connection, _: &[Argument]) -> Result<Output> {
    let mut attached = connection.replica.try_borrow_mut().map_err(|_| in_use())?;
    Ok(Output::Integer(i64::from(let_go(attached.take()))))
}

/// `replica_promote()`: JSON. The replica is detached as well.
fn promote(connection: &Connection, _: &[Argument]) -> Result<Output> {
    let report = connection.with_replica(Replica::promote)?;
    let mut attached = connection.replica.try_borrow_mut().map_err(|_| in_use())?;
    *attached = None;
    // Nobody could open it again to write it.
    refresh_in_memory(connection.host);
    Ok(Output::Json(json::promote(&report)))
}

/// `replica_lock([what])`: from here on until the connection is closed, nothing
/// that says which primary this is; with `'writes'` nothing that writes either.
fn lock(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let lock = match optional_text("what", args.first())? {
        None => Lock::Governing,
        Some("writes") => Lock::Writing,
        Some(_) => {
            let text = "what must be 'writes', or not be given";
            return Err(Error::new(Kind::BadArgument, text));
        }
    };
    connection.take_away(lock);
    Ok(Output::Null)
}

/// For whoever calls a table.
fn is_a_table(instead: &str) -> Error {
    Error::new(Kind::BadArgument, format!("this is a table; write {instead}"))
}

/// No token begins with a brace.
fn token<'a>(argument: Option<&Argument<'a>>) -> Result<Option<&'a str>> {
    let token = optional_text("token", argument)?.filter(|token| !token.is_empty());
    if token.is_some_and(|token| token.trim_start().starts_with('{')) {
        let text = "token must not begin with a brace; options are the third argument: \
                    replica_attach(sync_url, NULL, '{...}')";
        return Err(Error::new(Kind::BadArgument, text));
    }
    Ok(token)
}

fn in_use() -> Error {
    Error::new(Kind::Misuse, "the replica is in use by this very statement")
}
