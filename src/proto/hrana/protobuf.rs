//! Writes Hrana's pipeline as protobuf: the messages by hand (no protoc), from
//! the specification (hrana3.http.proto).

use prost::{Message, Oneof};

use super::{Condition, Stmt, Wire};
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
    #[prost(oneof = "RequestKind", tags = "1, 2, 3, 5")]
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
    #[prost(message, tag = "5")]
    Describe(DescribeRequest),
}

#[derive(Clone, PartialEq, Message)]
struct DescribeRequest {
    #[prost(string, optional, tag = "1")]
    sql: Option<String>,
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
        Wire::Describe(sql) => {
            RequestKind::Describe(DescribeRequest { sql: Some((*sql).to_owned()) })
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

#[cfg(test)]
#[path = "protobuf_tests.rs"]
mod tests;
