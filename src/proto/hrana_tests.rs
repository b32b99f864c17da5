//! Tests of the Hrana messages, with answers as sqld 0.24.32 gives them.

use serde_json::{Value as Json, json};

use super::*;

fn statement(sql: &str) -> Statement {
    Statement { sql: sql.to_owned(), args: vec![] }
}

fn json_of(baton: Option<&str>, requests: &[Request<'_>]) -> Result<String> {
    pipeline(Encoding::Json, baton, requests).map(|body| String::from_utf8(body).unwrap())
}

/// With all the memory that it may want.
fn read(encoding: Encoding, body: &[u8], requests: &[Request<'_>]) -> Result<Answer> {
    answer(encoding, body, requests, usize::MAX).map(|answer| answer.expect("enough memory"))
}

fn one(json: Json, request: Request<'_>) -> Result<Response> {
    let body = json!({"baton": null, "base_url": null, "results": [json]}).to_string();
    let mut answer = read(Encoding::Json, body.as_bytes(), &[request])?;
    answer.results.remove(0)
}

#[test]
fn one_statement_is_executed_and_the_stream_closed() {
    let statement = Statement { sql: "select ?".to_owned(), args: vec![Value::Integer(i64::MAX)] };
    let body = json_of(None, &[Request::Execute(&statement), Request::Close]).unwrap();
    assert_eq!(
        body,
        r#"{"baton":null,"requests":[{"type":"execute","stmt":{"sql":"select ?","args":[{"type":"integer","value":"9223372036854775807"}],"want_rows":true}},{"type":"close"}]}"#
    );
}

#[test]
fn several_statements_are_one_transaction() {
    let statements = [statement("insert 1"), statement("insert 2")];
    let body = json_of(Some("b"), &[Request::Transaction(&statements)]).unwrap();
    let json: Json = serde_json::from_str(&body).unwrap();
    assert_eq!(json["baton"], "b");
    let steps = json["requests"][0]["batch"]["steps"].as_array().unwrap();
    let sql: Vec<_> = steps.iter().map(|step| step["stmt"]["sql"].as_str().unwrap()).collect();
    assert_eq!(sql, ["BEGIN IMMEDIATE", "insert 1", "insert 2", "COMMIT", "ROLLBACK"]);
    assert_eq!(steps[0].get("condition"), None);
    assert_eq!(steps[2]["condition"], json!({"type": "ok", "step": 1}));
    assert_eq!(steps[3]["condition"], json!({"type": "ok", "step": 2}));
    assert_eq!(steps[4]["condition"], json!({"type": "not", "cond": {"type": "ok", "step": 3}}));
}

#[test]
fn a_statement_that_would_end_the_transaction_is_refused() {
    for sql in ["commit", " /* x */ BEGIN", "rollback", "END"] {
        let statements = [statement("insert 1"), statement(sql)];
        let error = json_of(None, &[Request::Transaction(&statements)]).unwrap_err();
        assert_eq!(error.kind(), Kind::BadArgument);
        assert!(error.to_string().starts_with("statement 2 of 2: "), "{error}");
    }
    let statements = [statement("savepoint a"), statement("rollback to a")];
    assert!(json_of(None, &[Request::Transaction(&statements)]).is_ok());
}

#[test]
fn an_argument_that_json_cannot_carry_is_named() {
    let infinite = Statement { sql: "x".to_owned(), args: vec![Value::Real(f64::INFINITY)] };
    let statements = [statement("insert 1"), infinite];
    let error = json_of(None, &[Request::Transaction(&statements)]).unwrap_err();
    assert!(error.to_string().starts_with("statement 2 of 2: "), "{error}");
    assert!(pipeline(Encoding::Protobuf, None, &[Request::Transaction(&statements)]).is_ok());
}

#[test]
fn an_execute_result_is_read() {
    let result = json!({"type": "ok", "response": {"type": "execute", "result": {
        "cols": [{"name": "a", "decltype": null}, {"name": null}],
        "rows": [[{"type": "integer", "value": "5"}, {"type": "float", "value": 1.0}]],
        "affected_row_count": 1, "last_insert_rowid": "2", "replication_index": "6",
        "rows_read": 1, "rows_written": 2, "query_duration_ms": 0.163}}});
    let response = one(result, Request::Execute(&statement("x"))).unwrap();
    assert_eq!(response.frame_no, Some(6));
    assert_eq!(
        response.results,
        [StatementResult {
            columns: vec!["a".to_owned(), String::new()],
            rows: vec![vec![Value::Integer(5), Value::Real(1.0)]],
            rows_affected: Some(1),
            last_insert_rowid: Some(2),
        }]
    );
}

fn batch_result(results: Json, errors: Json) -> Json {
    json!({"type": "ok", "response": {"type": "batch", "result": {
        "step_results": results, "step_errors": errors, "replication_index": "8"}}})
}

#[test]
fn a_transaction_yields_the_results_of_its_statements() {
    let none = json!({"cols": [], "rows": [], "affected_row_count": 0, "last_insert_rowid": null});
    let some = json!({"cols": [], "rows": [], "affected_row_count": 7, "last_insert_rowid": "3"});
    let result =
        batch_result(json!([none, some, none, none, null]), json!([null, null, null, null, null]));
    let statements = [statement("a"), statement("b")];
    let response = one(result, Request::Transaction(&statements)).unwrap();
    assert_eq!(response.frame_no, Some(8));
    assert_eq!(response.results.len(), 2);
    assert_eq!(response.results[0].rows_affected, Some(7));
    assert_eq!(response.results[1].last_insert_rowid, None);
}

#[test]
fn the_statement_that_failed_is_named() {
    let none = json!({"cols": [], "rows": [], "affected_row_count": 0, "last_insert_rowid": null});
    let error = json!({"message": "SQLite error: UNIQUE constraint failed: t.a", "code": "SQLITE_CONSTRAINT"});
    let statements = [statement("a"), statement("b")];
    for (step, text) in [
        (0, "cannot begin a transaction on the primary: UNIQUE constraint failed: t.a"),
        (1, "statement 1 of 2: UNIQUE constraint failed: t.a"),
        (2, "statement 2 of 2: UNIQUE constraint failed: t.a"),
        (3, "the primary did not commit: UNIQUE constraint failed: t.a"),
    ] {
        let mut results = vec![none.clone(); 5];
        let mut errors = vec![Json::Null; 5];
        results[step..4].fill(Json::Null);
        errors[step] = error.clone();
        let result = batch_result(json!(results), json!(errors));
        let error = one(result, Request::Transaction(&statements)).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert_eq!(error.kind(), Kind::Remote(code::CONSTRAINT_UNIQUE));
    }
}

#[test]
fn a_transaction_that_neither_committed_nor_failed_is_an_error() {
    let none = json!({"cols": [], "rows": []});
    let result = batch_result(json!([none, none, null, null]), json!([null, null, null, null]));
    let error = one(result, Request::Transaction(&[statement("a")])).unwrap_err();
    assert_eq!(error.kind(), Kind::Protocol);
}

#[test]
fn error_codes_become_sqlite_codes() {
    for (code, message, kind) in [
        (
            "SQLITE_CONSTRAINT",
            "SQLite error: UNIQUE constraint failed: t.a",
            Kind::Remote(code::CONSTRAINT_UNIQUE),
        ),
        (
            "SQLITE_CONSTRAINT",
            "SQLite error: NOT NULL constraint failed: t.b",
            Kind::Remote(code::CONSTRAINT_NOTNULL),
        ),
        (
            "SQLITE_CONSTRAINT",
            "SQLite error: CHECK constraint failed: c>0",
            Kind::Remote(code::CONSTRAINT_CHECK),
        ),
        (
            "SQLITE_CONSTRAINT",
            "SQLite error: FOREIGN KEY constraint failed",
            Kind::Remote(code::CONSTRAINT_FOREIGNKEY),
        ),
        ("SQLITE_CONSTRAINT", "SQLite error: raised by a trigger", Kind::Remote(code::CONSTRAINT)),
        ("SQLITE_CONSTRAINT_PRIMARYKEY", "x", Kind::Remote(code::CONSTRAINT_PRIMARYKEY)),
        (
            "EXECUTE_ERROR",
            "Runtime error: UNIQUE constraint failed: t.a (19)",
            Kind::Remote(code::CONSTRAINT_UNIQUE),
        ),
        (
            "BATCH_STEP_ERROR",
            "Runtime error: FOREIGN KEY constraint failed",
            Kind::Remote(code::CONSTRAINT_FOREIGNKEY),
        ),
        ("PREPARE_ERROR", "Parse error: no such table: t", Kind::Remote(code::ERROR)),
        ("EXECUTE_ERROR", "Database is busy", Kind::RemoteBusy),
        ("SQLITE_UNKNOWN", "SQLite error: no such table: nope", Kind::Remote(code::ERROR)),
        ("SQL_PARSE_ERROR", "SQL string could not be parsed", Kind::Remote(code::ERROR)),
        ("SQLITE_BUSY", "SQLite error: database is locked", Kind::RemoteBusy),
        ("RESPONSE_TOO_LARGE", "too large", Kind::Remote(code::TOOBIG)),
        ("STREAM_EXPIRED", "expired", Kind::TransactionLost),
        ("", "", Kind::Remote(code::ERROR)),
    ] {
        let json = json!({"type": "error", "error": {"message": message, "code": code}});
        let error = one(json, Request::Execute(&statement("x"))).unwrap_err();
        assert_eq!(error.kind(), kind, "{code} {message}");
        assert!(!error.to_string().contains("SQLite error"), "{error}");
    }
}

#[test]
fn an_extended_code_says_more_than_the_code() {
    for (extended, kind) in [
        ("SQLITE_CONSTRAINT_PRIMARYKEY", Kind::Remote(code::CONSTRAINT_PRIMARYKEY)),
        ("SQLITE_CONSTRAINT_TRIGGER", Kind::Remote(code::CONSTRAINT_TRIGGER)),
    ] {
        let json = json!({"type": "error", "error": {"message": "UNIQUE constraint failed: t.a",
            "code": "SQLITE_CONSTRAINT", "extended_code": extended}});
        assert_eq!(one(json, Request::Execute(&statement("x"))).unwrap_err().kind(), kind);
    }
}

#[test]
fn an_answer_may_not_take_more_than_it_is_given() {
    let x = statement("x");
    let requests = [Request::Execute(&x), Request::Close];
    for (encoding, body) in [
        (Encoding::Json, format!("{{\"results\":[{}0]}}", "0,".repeat(100_000)).into_bytes()),
        (Encoding::Json, format!("{{\"results\":[{}0]}}", "{},".repeat(100_000)).into_bytes()),
        (Encoding::Json, format!("[{}0]", "[],".repeat(100_000)).into_bytes()),
    ] {
        assert!(matches!(answer(encoding, &body, &requests, 1 << 20), Ok(None)));
    }
    // More results than requests are refused at the first of them.
    for (encoding, body) in [
        (Encoding::Protobuf, b"\x1a\x00".repeat(100_000)),
        (Encoding::Json, format!("{{\"results\":[{}0]}}", "{},".repeat(100_000)).into_bytes()),
    ] {
        let error = answer(encoding, &body, &requests, usize::MAX).unwrap_err();
        assert_eq!(error.kind(), Kind::Protocol);
    }
    // A million rows without a value, in two bytes each.
    let result = [&b"\x0a\x80\x80\x08"[..], &b"\x12\x00".repeat(65_536)].concat();
    assert_eq!(result.len(), 131_076);
    let rows = wrapped(3, &wrapped(1, &wrapped(2, &result)));
    assert!(matches!(answer(Encoding::Protobuf, &rows, &requests[..1], 1 << 20), Ok(None)));
}

/// A protobuf message as a field of another one.
fn wrapped(number: u8, message: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(message.len() as u64, &mut field);
    field.extend_from_slice(message);
    field
}

#[test]
fn what_a_turso_server_says_reads_as_sqlite_says_it() {
    for (said, read) in [
        ("Runtime error: UNIQUE constraint failed: t.a (19)", "UNIQUE constraint failed: t.a"),
        ("Runtime error: FOREIGN KEY constraint failed", "FOREIGN KEY constraint failed"),
        ("Parse error: no such table: t", "no such table: t"),
        ("something (else)", "something (else)"),
    ] {
        let error = SqlError { message: said.to_owned(), code: "EXECUTE_ERROR".to_owned() };
        assert_eq!(Error::from(error).to_string(), read);
    }
}

#[test]
fn malformed_answers_are_errors_of_the_protocol() {
    let x = statement("x");
    let execute =
        |result: Json| json!({"type": "ok", "response": {"type": "execute", "result": result}});
    for json in [
        json!(null),
        json!({"type": "ok"}),
        json!({"type": "ok", "response": {"type": "close"}}),
        json!({"type": "ok", "response": {"type": "batch", "result": {}}}),
        execute(json!(1)),
        execute(json!({"cols": []})),
        execute(json!({"rows": []})),
        execute(json!({"cols": [], "rows": [5]})),
        execute(json!({"cols": [], "rows": [[{"type": "null"}]]})),
        execute(json!({"cols": [{"name": "a"}], "rows": [[{"type": "what"}]]})),
        execute(json!({"cols": [], "rows": [], "replication_index": "x"})),
        execute(json!({"cols": [], "rows": [], "replication_index": -1})),
    ] {
        let text = json.to_string();
        let error = one(json, Request::Execute(&x)).unwrap_err();
        assert_eq!(error.kind(), Kind::Protocol, "{text}");
    }
    for body in ["", "{", "[]", "{}", r#"{"results":[]}"#, r#"{"results":5}"#] {
        let error = read(Encoding::Json, body.as_bytes(), &[Request::Close]).unwrap_err();
        assert_eq!(error.kind(), Kind::Protocol, "{body}");
    }
    for wrong in [json!([]), json!([null, null, null])] {
        let json = batch_result(wrong.clone(), wrong);
        let error = one(json, Request::Transaction(std::slice::from_ref(&x))).unwrap_err();
        assert_eq!(error.kind(), Kind::Protocol);
    }
}
