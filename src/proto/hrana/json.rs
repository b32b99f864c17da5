//! Hrana's pipeline as JSON. Knows the shape of it and nothing of its meaning.

use serde_json::{Value as Json, json};

use super::{Batch, Condition, Decoded, Outcome, SqlError, Stmt, Wire, protocol};
use crate::error::Result;
use crate::sqltext::statement::StatementResult;
use crate::sqltext::value::{Value, integer};

pub(super) fn encode(baton: Option<&str>, requests: &[Wire<'_>]) -> Result<Vec<u8>> {
    let requests = requests.iter().map(request).collect::<Result<Vec<_>>>()?;
    Ok(json!({"baton": baton, "requests": requests}).to_string().into_bytes())
}

fn request(request: &Wire<'_>) -> Result<Json> {
    Ok(match request {
        Wire::Execute(stmt) => json!({"type": "execute", "stmt": statement(stmt)?}),
        Wire::Batch(steps) => {
            let layout = &steps.layout;
            let steps = steps.list.iter().enumerate().map(|(at, (stmt, when))| {
                let stmt = statement(stmt).map_err(|error| layout.name(at, error))?;
                Ok(match when {
                    None => json!({"stmt": stmt}),
                    Some(when) => json!({"stmt": stmt, "condition": condition(*when)}),
                })
            });
            json!({"type": "batch", "batch": {"steps": steps.collect::<Result<Vec<_>>>()?}})
        }
        Wire::Close => json!({"type": "close"}),
    })
}

fn statement(stmt: &Stmt<'_>) -> Result<Json> {
    let args = stmt.args.iter().map(Value::to_hrana).collect::<Result<Vec<_>>>()?;
    Ok(json!({"sql": stmt.sql, "args": args, "want_rows": stmt.want_rows}))
}

fn condition(condition: Condition) -> Json {
    match condition {
        Condition::Ok(step) => json!({"type": "ok", "step": step}),
        Condition::NotOk(step) => {
            json!({"type": "not", "cond": {"type": "ok", "step": step}})
        }
        Condition::InTransaction => json!({"type": "not", "cond": {"type": "is_autocommit"}}),
    }
}

/// `steps`: how many steps the batch of each request has; 0 where it is none.
pub(super) fn decode(body: &[u8], steps: &[usize]) -> Result<Decoded> {
    let json: Json = serde_json::from_slice(body)
        .map_err(|error| protocol(format!("the primary's answer is not JSON: {error}")))?;
    let results = json
        .get("results")
        .and_then(Json::as_array)
        .ok_or_else(|| protocol("the primary's answer holds no results"))?;
    let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    let outcomes = results.iter().enumerate();
    let outcomes = outcomes.map(|(at, json)| outcome(json, steps.get(at).copied().unwrap_or(0)));
    Ok(Decoded { baton: text("baton"), base_url: text("base_url"), outcomes: outcomes.collect() })
}

fn outcome(json: &Json, steps: usize) -> Result<Outcome> {
    if let Some(error) = json.get("error") {
        return Ok(Outcome::Failed(sql_error(error)));
    }
    let response = json.get("response");
    let kind = response.and_then(|response| response.get("type")).and_then(Json::as_str);
    let result = response.and_then(|response| response.get("result"));
    match (kind, result) {
        (Some("execute"), Some(result)) => {
            Ok(Outcome::Execute { result: statement_result(result)?, frame_no: frame_no(result)? })
        }
        (Some("batch"), Some(result)) => batch(result, steps),
        (Some("close"), _) => Ok(Outcome::Close),
        _ => Err(protocol("the primary's answer holds a result of the wrong kind")),
    }
}

fn batch(json: &Json, steps: usize) -> Result<Outcome> {
    let list = |name: &str| {
        json.get(name)
            .and_then(Json::as_array)
            .filter(|list| list.len() == steps)
            .ok_or_else(|| protocol(format!("the primary's result has no complete {name}")))
    };
    let some = |json: &Json| if json.is_null() { None } else { Some(statement_result(json)) };
    Ok(Outcome::Batch(Batch {
        results: list("step_results")?
            .iter()
            .map(|json| some(json).transpose())
            .collect::<Result<_>>()?,
        errors: list("step_errors")?
            .iter()
            .map(|json| (!json.is_null()).then(|| sql_error(json)))
            .collect(),
        frame_no: frame_no(json)?,
    }))
}

fn sql_error(json: &Json) -> SqlError {
    let text = |name: &str| json.get(name).and_then(Json::as_str).unwrap_or("").to_owned();
    SqlError { message: text("message"), code: text("code") }
}

/// Number of the last frame, a text or a number, absent or null where unknown.
fn frame_no(result: &Json) -> Result<Option<u64>> {
    let number = match result.get("replication_index") {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(text)) => text.parse().ok(),
        Some(number) => number.as_u64(),
    };
    number.map(Some).ok_or_else(|| protocol("the primary's replication_index is no number"))
}

fn statement_result(json: &Json) -> Result<StatementResult> {
    let list = |name: &str| {
        json.get(name)
            .and_then(Json::as_array)
            .ok_or_else(|| protocol(format!("the primary's result has no {name}")))
    };
    let columns = list("cols")?
        .iter()
        .map(|column| column.get("name").and_then(Json::as_str).unwrap_or("").to_owned())
        .collect::<Vec<_>>();
    let mut rows = Vec::new();
    for row in list("rows")? {
        let row = row.as_array().ok_or_else(|| protocol("the primary's row is no list"))?;
        if row.len() != columns.len() {
            return Err(protocol("the primary's row has another number of values than columns"));
        }
        rows.push(row.iter().map(Value::from_hrana).collect::<Result<Vec<_>>>()?);
    }
    Ok(StatementResult {
        columns,
        rows,
        rows_affected: json.get("affected_row_count").and_then(Json::as_u64),
        last_insert_rowid: json.get("last_insert_rowid").and_then(integer),
    })
}
