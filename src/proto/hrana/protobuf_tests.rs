//! Tests of the protobuf encoding: each value, and each gap in an answer.

use super::*;
use crate::error::Kind;

fn answer_of(kinds: Vec<Option<ResultKind>>) -> Vec<u8> {
    let results = kinds.into_iter().map(|kind| StreamResult { kind }).collect();
    PipelineAnswer { baton: Some("b".to_owned()), base_url: None, results }.encode_to_vec()
}

fn ok(kind: ResponseKind) -> Option<ResultKind> {
    Some(ResultKind::Ok(StreamResponse { kind: Some(kind) }))
}

fn kind_of_error(body: &[u8], steps: usize) -> Kind {
    let result = decode(body, &[steps]).and_then(|mut decoded| decoded.outcomes.remove(0));
    result.err().expect("an error").kind()
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
        let bytes = pb_value(&given).encode_to_vec();
        assert!(!bytes.is_empty(), "{given:?} says its type");
        let read = value(PbValue::decode(bytes.as_slice()).unwrap()).unwrap();
        assert_eq!(read, given);
    }
    assert_eq!(value(pb_value(&Value::Real(f64::NAN))).unwrap(), Value::Null);
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
    let Outcome::Batch(batch) = decoded.outcomes.remove(0).unwrap() else { panic!("a batch") };
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
