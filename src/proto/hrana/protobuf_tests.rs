//! Tests of the protobuf encoding: each value, and each gap in an answer.

use std::collections::HashMap;

use super::super::budget::{Budget, Unread};
use super::super::protobuf_answer;
use super::super::{Decoded, Outcome};
use super::*;
use crate::error::{Error, Kind};

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

/// Reads an answer with all the memory it may want.
fn decode(body: &[u8], steps: &[usize]) -> Result<Decoded, Error> {
    match protobuf_answer::decode(body, steps, &mut Budget::new(usize::MAX)) {
        Ok(decoded) => Ok(decoded),
        Err(Unread::Broken(error)) => Err(error),
        Err(Unread::TooBig) => panic!("more than there is"),
    }
}

fn answer_of(kinds: Vec<Option<ResultKind>>) -> Vec<u8> {
    let results = kinds.into_iter().map(|kind| StreamResult { kind }).collect();
    PipelineAnswer { baton: Some("b".to_owned()), base_url: None, results }.encode_to_vec()
}

fn ok(kind: ResponseKind) -> Option<ResultKind> {
    Some(ResultKind::Ok(StreamResponse { kind: Some(kind) }))
}

fn kind_of_error(body: &[u8], steps: usize) -> Kind {
    let result = decode(body, &[steps]);
    result.err().expect("an error").kind()
}

/// The only value of an answer with it.
fn read_back(value: &Value) -> Value {
    let result = StmtResult {
        cols: vec![Col::default()],
        rows: vec![Row { values: vec![pb_value(value)] }],
        ..StmtResult::default()
    };
    let body = answer_of(vec![ok(ResponseKind::Execute(ExecuteResponse { result: Some(result) }))]);
    let Outcome::Execute { mut result, .. } = decode(&body, &[0]).unwrap().outcomes.remove(0)
    else {
        panic!("a result")
    };
    result.rows.remove(0).remove(0)
}

#[test]
fn every_value_goes_through_exactly() {
    for given in [
        Value::Null,
        Value::Integer(i64::MIN),
        Value::Integer(-1),
        Value::Integer(0),
        Value::Real(0.0),
        Value::Real(f64::NEG_INFINITY),
        Value::Real(2.963_513_513_513_513_4e-5),
        Value::Text(String::new()),
        Value::Text("a\0b".to_owned()),
        Value::Blob(vec![]),
        Value::Blob(vec![0, 255]),
    ] {
        assert!(!pb_value(&given).encode_to_vec().is_empty(), "{given:?} says its type");
        assert_eq!(read_back(&given), given);
    }
    assert_eq!(read_back(&Value::Real(f64::NAN)), Value::Null);
}

#[test]
fn a_request_is_written_as_the_specification_has_it() {
    let stmt = Stmt { sql: "x", args: &[Value::Integer(1)], want_rows: true };
    assert_eq!(
        encode(None, &[Wire::Execute(stmt), Wire::Close]),
        b"\x12\x0d\x12\x0b\x0a\x09\x0a\x01x\x1a\x02\x10\x02\x28\x01\x12\x02\x0a\x00"
    );
}

#[test]
fn steps_of_a_batch_keep_their_places() {
    let result = |count| StmtResult { affected_row_count: count, ..StmtResult::default() };
    let error = PbError { message: "no".to_owned(), code: None };
    let batch = BatchResult {
        step_results: HashMap::from([(0, result(5)), (2, result(7))]),
        step_errors: HashMap::from([(1, error)]),
    };
    let body = answer_of(vec![ok(ResponseKind::Batch(BatchResponse { result: Some(batch) }))]);
    let mut decoded = decode(&body, &[4]).unwrap();
    assert_eq!(decoded.baton.as_deref(), Some("b"));
    let Outcome::Batch(batch) = decoded.outcomes.remove(0) else { panic!("a batch") };
    let counts: Vec<_> =
        batch.results.iter().map(|result| result.as_ref()?.rows_affected).collect();
    assert_eq!(counts, [Some(5), None, Some(7), None]);
    assert!(batch.errors[1].is_some() && batch.errors[2].is_none());
    assert_eq!(kind_of_error(&body, 2), Kind::Protocol);
}

#[test]
fn malformed_answers_are_errors_of_the_protocol() {
    let execute = |result| ok(ResponseKind::Execute(ExecuteResponse { result }));
    let row = Row { values: vec![PbValue { kind: None }] };
    let untyped =
        StmtResult { cols: vec![Col::default()], rows: vec![row.clone()], ..StmtResult::default() };
    let ragged = StmtResult { rows: vec![row], ..StmtResult::default() };
    for kind in [
        None,
        Some(ResultKind::Ok(StreamResponse { kind: None })),
        execute(None),
        execute(Some(untyped)),
        execute(Some(ragged)),
        ok(ResponseKind::Batch(BatchResponse { result: None })),
    ] {
        assert_eq!(kind_of_error(&answer_of(vec![kind.clone()]), 0), Kind::Protocol, "{kind:?}");
    }
    for body in [&[0xff][..], &[0x1a, 5], b"{\"results\":[]}"] {
        let error = decode(body, &[0]).err().expect("an error");
        assert_eq!(error.kind(), Kind::Protocol);
    }
}
