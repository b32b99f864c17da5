//! The table of SQL functions, and their bodies.

use std::path::Path;

use super::arguments::{awaited, optional_text, seconds, text, values};
use super::local_transaction::{tie, untie};
use super::permit::{Effect, Lock};
use super::values::{from_json, statements_of};
use super::{Connection, health_table, help, json, let_go, options, status_table};
use crate::error::{Error, Kind, Result};
use crate::host::memory::reopen::refresh as refresh_in_memory;
use crate::host::value::{Argument, Output};
use crate::host::{libversion, sourceid};
use crate::options::{Options, SyncOptions};
use crate::replica::{Mode, Replica, Request};
use crate::sqltext::parameters::Arguments;

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
        body: begin,
    },
    Function {
        name: "replica_commit",
        arities: &[0],
        effect: Effect::Reads,
        once: true,
        body: commit,
    },
    Function {
        name: "replica_debug",
        arities: &[0],
        effect: Effect::Reads,
        once: false,
        body: debug,
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
        body: migrate,
    },
    Function {
        name: "replica_outcome",
        arities: &[1],
        effect: Effect::Writes,
        once: false,
        body: outcome,
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
        name: "replica_rollback",
        arities: &[0],
        effect: Effect::Reads,
        once: true,
        body: rollback,
    },
    Function {
        name: "replica_script",
        arities: &[1],
        effect: Effect::Writes,
        once: true,
        body: script,
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
        body: transaction,
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
        body: write,
    },
    Function {
        name: "replica_write_args",
        arities: &[2],
        effect: Effect::Writes,
        once: true,
        body: write_args,
    },
    Function {
        name: "replica_write_many",
        arities: &[1],
        effect: Effect::Writes,
        once: true,
        body: write_many,
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
    if report.changes_schema {
        connection.host.refresh_schema();
    }
    Ok(Output::Json(json::sync(&report)))
}

/// `replica_write(sql [, arg ...])`: JSON, the result of each statement.
fn write(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let Some((sql, args)) = args.split_first() else {
        return Err(Error::new(
            Kind::BadArgument,
            "the SQL text is missing; write replica_write(sql [, arg ...])",
        ));
    };
    let sql = text("sql", sql)?;
    let args = Arguments::Listed(values(args)?);
    let report = connection.with_replica(|replica| replica.write(sql, args))?;
    connection.changed(&report);
    Ok(Output::Json(json::write(&report, connection.style())))
}

/// `replica_write_args(sql, args)`: the same with all arguments in one JSON
/// array, or by name in a JSON object.
fn write_args(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let sql = text("sql", &args[0])?;
    let args = from_json(args.get(1))?;
    let report = connection.with_replica(|replica| replica.write(sql, args))?;
    connection.changed(&report);
    Ok(Output::Json(json::write(&report, connection.style())))
}

/// `replica_write_many(list)`: several statements with arguments of their own,
/// all or nothing, with a result for each. The list is JSON: of texts, or of
/// `[text, args]`, or of `{"sql": text, "args": args}`; or it stands as
/// `statements` in an object, beside `exactly_once`.
fn write_many(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let (texts, once) = statements_of(text("list", &args[0])?)?;
    let report = connection.with_replica(|replica| replica.write_many(texts, once))?;
    connection.host.refresh_schema();
    Ok(Output::Json(json::write_list(&report, connection.style())))
}

/// `replica_outcome(id)`: JSON, what became of a write whose answer was lost.
fn outcome(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let id = text("id", &args[0])?;
    let outcome = connection.with_replica(|replica| replica.outcome(id))?;
    Ok(Output::Json(json::outcome(id, &outcome, connection.style())))
}

/// `replica_script(text)`: statement by statement, up to the first that fails.
fn script(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let sql = text("text", &args[0])?;
    let report = connection.with_replica(|replica| replica.script(sql));
    connection.host.refresh_schema();
    Ok(Output::Json(json::write_list(&report?, connection.style())))
}

/// `replica_migrate(text)`: all or nothing, with foreign keys off, and checked
/// at its end.
fn migrate(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let sql = text("text", &args[0])?;
    let report = connection.with_replica(|replica| replica.migrate(sql))?;
    connection.host.refresh_schema();
    Ok(Output::Json(json::write_list(&report, connection.style())))
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

/// `replica_transaction()`: what is open on the primary: `none`, `deferred`,
/// `immediate`, `read`, or `lost` until it is ended.
fn transaction(connection: &Connection, _: &[Argument]) -> Result<Output> {
    let state = connection.with_replica(|replica| Ok(replica.transaction_state()))?;
    Ok(Output::Text(state.to_owned()))
}

/// `replica_error()`: JSON, the last error of this connection in parts.
fn error(connection: &Connection, _: &[Argument]) -> Result<Output> {
    Ok(connection.last_error().map_or(Output::Null, Output::Json))
}

/// `replica_begin([mode])`: opens a transaction on the primary.
fn begin(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let mode = match optional_text("mode", args.first())? {
        None => Mode::Deferred,
        Some(mode) => match mode.to_ascii_lowercase().as_str() {
            "deferred" => Mode::Deferred,
            "immediate" => Mode::Immediate,
            "read" => Mode::Read,
            "migration" => Mode::Migration,
            _ => {
                let text = "mode must be 'deferred', 'immediate', 'read' or 'migration'";
                return Err(Error::new(Kind::BadArgument, text));
            }
        },
    };
    if mode != Mode::Read {
        connection.permit(Effect::Writes)?;
    }
    let local = connection.with_replica(|replica| {
        replica.begin(mode)?;
        Ok(replica.has_local_transactions())
    })?;
    if local {
        tie(connection);
    }
    Ok(Output::Null)
}

/// `replica_commit()`: JSON, where it is to be found.
fn commit(connection: &Connection, _: &[Argument]) -> Result<Output> {
    let arrival = connection.with_replica(Replica::commit);
    untie_if_over(connection);
    let arrival = arrival?;
    connection.host.refresh_schema();
    Ok(Output::Json(json::commit(&arrival)))
}

/// `replica_rollback()`
fn rollback(connection: &Connection, _: &[Argument]) -> Result<Output> {
    let done = connection.with_replica(Replica::rollback);
    untie_if_over(connection);
    done?;
    Ok(Output::Null)
}

/// A commit that was not sent leaves the transaction open.
fn untie_if_over(connection: &Connection) {
    let state = connection.with_replica(|replica| Ok(replica.transaction_state()));
    if state.is_ok_and(|state| state == "none") {
        untie(connection);
    }
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
