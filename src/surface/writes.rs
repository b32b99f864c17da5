//! The SQL functions that work on the primary: writes, and transactions there.

use super::arguments::{optional_text, text, values};
use super::local_transaction::{tie, untie};
use super::permit::Effect;
use super::values::{from_json, statements_of};
use super::{Connection, json};
use crate::error::{Error, Kind, Result};
use crate::host::value::{Argument, Output};
use crate::replica::{Mode, Replica};
use crate::sqltext::parameters::Arguments;

/// `replica_write(sql [, arg ...])`: JSON, the result of each statement.
pub(super) fn write(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let Some((sql, args)) = args.split_first() else {
        return Err(Error::new(
            Kind::BadArgument,
            "the SQL text is missing; write replica_write(sql [, arg ...])",
        ));
    };
    let sql = text("sql", sql)?;
    let args = Arguments::Listed(values(args)?);
    let report = connection.with_replica(|replica| replica.write(sql, args))?;
    connection.see_schema();
    Ok(Output::Json(json::write(&report, connection.style())))
}

/// `replica_write_args(sql, args)`: the same with all arguments in one JSON
/// array, or by name in a JSON object.
pub(super) fn write_args(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let sql = text("sql", &args[0])?;
    let args = from_json(args.get(1))?;
    let report = connection.with_replica(|replica| replica.write(sql, args))?;
    connection.see_schema();
    Ok(Output::Json(json::write(&report, connection.style())))
}

/// `replica_write_many(list)`: several statements with arguments of their own,
/// all or nothing, with a result for each. The list is JSON: of texts, or of
/// `[text, args]`, or of `{"sql": text, "args": args}`; or it stands as
/// `statements` in an object, beside `exactly_once`.
pub(super) fn write_many(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let (texts, once) = statements_of(text("list", &args[0])?)?;
    let report = connection.with_replica(|replica| replica.write_many(texts, once))?;
    connection.see_schema();
    Ok(Output::Json(json::write_list(&report, connection.style())))
}

/// `replica_outcome(id)`: JSON, what became of a write whose answer was lost.
pub(super) fn outcome(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let id = text("id", &args[0])?;
    let outcome = connection.with_replica(|replica| replica.outcome(id))?;
    Ok(Output::Json(json::outcome(id, &outcome, connection.style())))
}

/// `replica_script(text)`: statement by statement, up to the first that fails.
pub(super) fn script(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let sql = text("text", &args[0])?;
    let report = connection.with_replica(|replica| replica.script(sql));
    connection.see_schema();
    Ok(Output::Json(json::write_list(&report?, connection.style())))
}

/// `replica_migrate(text)`: all or nothing, with foreign keys off, and checked
/// at its end.
pub(super) fn migrate(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let sql = text("text", &args[0])?;
    let report = connection.with_replica(|replica| replica.migrate(sql))?;
    connection.see_schema();
    Ok(Output::Json(json::write_list(&report, connection.style())))
}

/// `replica_transaction()`: what is open on the primary: `none`, `deferred`,
/// `immediate`, `read`, or `lost` until it is ended.
pub(super) fn transaction(connection: &Connection, _: &[Argument]) -> Result<Output> {
    let state = connection.with_replica(|replica| Ok(replica.transaction_state()))?;
    Ok(Output::Text(state.to_owned()))
}

/// `replica_begin([mode])`: opens a transaction on the primary.
pub(super) fn begin(connection: &Connection, args: &[Argument]) -> Result<Output> {
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
pub(super) fn commit(connection: &Connection, _: &[Argument]) -> Result<Output> {
    let arrival = connection.with_replica(Replica::commit);
    untie_if_over(connection);
    let arrival = arrival?;
    connection.see_schema();
    Ok(Output::Json(json::commit(&arrival)))
}

/// `replica_rollback()`
pub(super) fn rollback(connection: &Connection, _: &[Argument]) -> Result<Output> {
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
