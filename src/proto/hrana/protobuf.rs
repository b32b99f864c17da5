//! Hrana's pipeline as protobuf: the messages by hand (no protoc), from the
//! specification (hrana3.http.proto) and what sqld really does: it leaves the
//! replication index of a batch out.

use std::collections::HashMap;

use prost::{Message, Oneof};

use super::{Batch, Condition, Decoded, Outcome, SqlError, Stmt, Wire, protocol};
use crate::error::Result;
use crate::sqltext::statement::StatementResult;
use crate::sqltext::value::Value;

#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
struct PipelineRequest {
    #[prost(string, optional, tag = "1")]
    baton: Option<String>,
    #[prost(message, repeated, tag = "2")]
    requests: Vec<StreamRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct StreamRequest {
    #[prost(oneof = "RequestKind", tags = "1, 2, 3")]
    kind: Option<RequestKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum RequestKind {
    #[prost(message, tag = "1")]
    Close(Empty),
    #[prost(message, tag = "2")]
    Execute(ExecuteRequest),
    #[prost(message, tag = "3")]
    Batch(BatchRequest),
}

#[derive(Clone, PartialEq, Message)]
struct ExecuteRequest {
    #[prost(message, optional, tag = "1")]
    stmt: Option<PbStmt>,
}

#[derive(Clone, PartialEq, Message)]
struct BatchRequest {
    #[prost(message, optional, tag = "1")]
    batch: Option<PbBatch>,
}

#[derive(Clone, PartialEq, Message)]
struct PbBatch {
    #[prost(message, repeated, tag = "1")]
    steps: Vec<BatchStep>,
}

#[derive(Clone, PartialEq, Message)]
struct BatchStep {
    #[prost(message, optional, tag = "1")]
    condition: Option<BatchCondition>,
    #[prost(message, optional, tag = "2")]
    stmt: Option<PbStmt>,
}

#[derive(Clone, PartialEq, Message)]
struct BatchCondition {
    #[prost(oneof = "ConditionKind", tags = "1, 3, 6")]
    kind: Option<ConditionKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum ConditionKind {
    #[prost(uint32, tag = "1")]
    StepOk(u32),
    #[prost(message, tag = "3")]
    Not(Box<BatchCondition>),
    #[prost(message, tag = "6")]
    IsAutocommit(Empty),
}

#[derive(Clone, PartialEq, Message)]
struct PbStmt {
    #[prost(string, optional, tag = "1")]
    sql: Option<String>,
    #[prost(message, repeated, tag = "3")]
    args: Vec<PbValue>,
    #[prost(bool, optional, tag = "5")]
    want_rows: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
struct PbValue {
    #[prost(oneof = "ValueKind", tags = "1, 2, 3, 4, 5")]
    kind: Option<ValueKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum ValueKind {
    #[prost(message, tag = "1")]
    Null(Empty),
    #[prost(sint64, tag = "2")]
    Integer(i64),
    #[prost(double, tag = "3")]
    Float(f64),
    #[prost(string, tag = "4")]
    Text(String),
    #[prost(bytes = "vec", tag = "5")]
    Blob(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
struct PipelineAnswer {
    #[prost(string, optional, tag = "1")]
    baton: Option<String>,
    #[prost(string, optional, tag = "2")]
    base_url: Option<String>,
    #[prost(message, repeated, tag = "3")]
    results: Vec<StreamResult>,
}

#[derive(Clone, PartialEq, Message)]
struct StreamResult {
    #[prost(oneof = "ResultKind", tags = "1, 2")]
    kind: Option<ResultKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum ResultKind {
    #[prost(message, tag = "1")]
    Ok(StreamResponse),
    #[prost(message, tag = "2")]
    Error(PbError),
}

#[derive(Clone, PartialEq, Message)]
struct StreamResponse {
    #[prost(oneof = "ResponseKind", tags = "1, 2, 3")]
    kind: Option<ResponseKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum ResponseKind {
    #[prost(message, tag = "1")]
    Close(Empty),
    #[prost(message, tag = "2")]
    Execute(ExecuteResponse),
    #[prost(message, tag = "3")]
    Batch(BatchResponse),
}

#[derive(Clone, PartialEq, Message)]
struct ExecuteResponse {
    #[prost(message, optional, tag = "1")]
    result: Option<StmtResult>,
}

#[derive(Clone, PartialEq, Message)]
struct BatchResponse {
    #[prost(message, optional, tag = "1")]
    result: Option<BatchResult>,
}

#[derive(Clone, PartialEq, Message)]
struct BatchResult {
    #[prost(map = "uint32, message", tag = "1")]
    step_results: HashMap<u32, StmtResult>,
    #[prost(map = "uint32, message", tag = "2")]
    step_errors: HashMap<u32, PbError>,
}

#[derive(Clone, PartialEq, Message)]
struct PbError {
    #[prost(string, tag = "1")]
    message: String,
    #[prost(string, optional, tag = "2")]
    code: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct StmtResult {
    #[prost(message, repeated, tag = "1")]
    cols: Vec<Col>,
    #[prost(message, repeated, tag = "2")]
    rows: Vec<Row>,
    #[prost(uint64, tag = "3")]
    affected_row_count: u64,
    #[prost(sint64, optional, tag = "4")]
    last_insert_rowid: Option<i64>,
    #[prost(uint64, optional, tag = "5")]
    replication_index: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct Col {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(message, repeated, tag = "1")]
    values: Vec<PbValue>,
}

pub(super) fn encode(baton: Option<&str>, requests: &[Wire<'_>]) -> Vec<u8> {
    let requests = requests.iter().map(|request| StreamRequest { kind: Some(kind_of(request)) });
    let requests = requests.collect();
    PipelineRequest { baton: baton.map(str::to_owned), requests }.encode_to_vec()
}

fn kind_of(request: &Wire<'_>) -> RequestKind {
    match request {
        Wire::Execute(stmt) => RequestKind::Execute(ExecuteRequest { stmt: Some(statement(stmt)) }),
        Wire::Batch(steps) => {
            let steps = steps.list.iter().map(|(stmt, when)| BatchStep {
                condition: when.map(condition),
                stmt: Some(statement(stmt)),
            });
            RequestKind::Batch(BatchRequest { batch: Some(PbBatch { steps: steps.collect() }) })
        }
        Wire::Close => RequestKind::Close(Empty {}),
    }
}

fn condition(condition: Condition) -> BatchCondition {
    let some = |kind| BatchCondition { kind: Some(kind) };
    let not = |kind| some(ConditionKind::Not(Box::new(some(kind))));
    match condition {
        Condition::Ok(step) => some(ConditionKind::StepOk(step)),
        Condition::NotOk(step) => not(ConditionKind::StepOk(step)),
        Condition::InTransaction => not(ConditionKind::IsAutocommit(Empty {})),
    }
}

fn statement(stmt: &Stmt<'_>) -> PbStmt {
    PbStmt {
        sql: Some(stmt.sql.to_owned()),
        args: stmt.args.iter().map(pb_value).collect(),
        want_rows: Some(stmt.want_rows),
    }
}

/// NaN is NULL, as in SQLite.
fn pb_value(value: &Value) -> PbValue {
    PbValue {
        kind: Some(match value {
            Value::Null => ValueKind::Null(Empty {}),
            Value::Integer(n) => ValueKind::Integer(*n),
            Value::Real(r) if r.is_nan() => ValueKind::Null(Empty {}),
            Value::Real(r) => ValueKind::Float(*r),
            Value::Text(text) => ValueKind::Text(text.clone()),
            Value::Blob(bytes) => ValueKind::Blob(bytes.clone()),
        }),
    }
}

/// `steps`: how many steps the batch of each request has; 0 where it is none.
pub(super) fn decode(body: &[u8], steps: &[usize]) -> Result<Decoded> {
    let answer = PipelineAnswer::decode(body)
        .map_err(|error| protocol(format!("the primary's answer cannot be read: {error}")))?;
    let outcomes = answer.results.into_iter().enumerate();
    let outcomes =
        outcomes.map(|(at, result)| outcome(result, steps.get(at).copied().unwrap_or(0)));
    let outcomes = outcomes.collect();
    Ok(Decoded { baton: answer.baton, base_url: answer.base_url, outcomes })
}

fn outcome(result: StreamResult, steps: usize) -> Result<Outcome> {
    let response = match result.kind {
        Some(ResultKind::Ok(response)) => response.kind,
        Some(ResultKind::Error(error)) => return Ok(Outcome::Failed(sql_error(error))),
        None => None,
    };
    match response {
        Some(ResponseKind::Close(_)) => Ok(Outcome::Close),
        Some(ResponseKind::Execute(ExecuteResponse { result: Some(result) })) => {
            let frame_no = result.replication_index;
            Ok(Outcome::Execute { result: statement_result(result)?, frame_no })
        }
        Some(ResponseKind::Batch(BatchResponse { result: Some(result) })) => batch(result, steps),
        _ => Err(protocol("the primary's answer holds a result of the wrong kind")),
    }
}

fn batch(result: BatchResult, steps: usize) -> Result<Outcome> {
    let BatchResult { mut step_results, mut step_errors } = result;
    let (mut results, mut errors) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
    for step in (0..).take(steps) {
        results.push(step_results.remove(&step).map(statement_result).transpose()?);
        errors.push(step_errors.remove(&step).map(sql_error));
    }
    if !step_results.is_empty() || !step_errors.is_empty() {
        return Err(protocol("the primary's answer has more steps than the request"));
    }
    Ok(Outcome::Batch(Batch { results, errors, frame_no: None }))
}

fn sql_error(error: PbError) -> SqlError {
    SqlError { message: error.message, code: error.code.unwrap_or_default() }
}

fn statement_result(result: StmtResult) -> Result<StatementResult> {
    let columns: Vec<String> =
        result.cols.into_iter().map(|col| col.name.unwrap_or_default()).collect();
    let mut rows = Vec::with_capacity(result.rows.len());
    for row in result.rows {
        if row.values.len() != columns.len() {
            return Err(protocol("the primary's row has another number of values than columns"));
        }
        rows.push(row.values.into_iter().map(value).collect::<Result<Vec<_>>>()?);
    }
    Ok(StatementResult {
        columns,
        rows,
        rows_affected: Some(result.affected_row_count),
        last_insert_rowid: result.last_insert_rowid,
    })
}

fn value(value: PbValue) -> Result<Value> {
    Ok(match value.kind {
        Some(ValueKind::Null(_)) => Value::Null,
        Some(ValueKind::Integer(n)) => Value::Integer(n),
        Some(ValueKind::Float(r)) => Value::Real(r),
        Some(ValueKind::Text(text)) => Value::Text(text),
        Some(ValueKind::Blob(bytes)) => Value::Blob(bytes),
        None => return Err(protocol("the primary's answer holds a value without a type")),
    })
}

#[cfg(test)]
#[path = "protobuf_tests.rs"]
mod tests;
