//! Writes Hrana's pipeline as JSON. Knows the shape of it and nothing of its
//! meaning.

use serde_json::{Value as Json, json};

use super::{Condition, Stmt, Wire};
use crate::error::Result;
use crate::sqltext::value::Value;

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
        Wire::Describe(sql) => json!({"type": "describe", "sql": sql}),
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
