//! What a write and a query answer, and as whom they are sent.

use super::*;

#[test]
fn values_of_every_type_go_there_and_back() {
    let sqld = Sqld::start();
    let primary = primary(&sqld.url());
    let mut values = vec![
        Value::Null,
        Value::Integer(0),
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        Value::Real(1.0),
        Value::Real(0.1),
        Value::Real(f64::MAX),
        Value::Real(f64::MIN_POSITIVE),
        Value::Real(-1e15),
        Value::Real(f64::NEG_INFINITY),
        Value::Text(String::new()),
        Value::Text("\u{1F600} '\"\\\n\u{7f} \0 end".to_owned()),
        Value::Blob(vec![]),
        Value::Blob((0..=255).collect()),
    ];
    values.extend((1..200).map(|n| Value::Real(f64::from(n) * 0.731 / 3.7e5)));
    write(&primary, "CREATE TABLE v(n INTEGER PRIMARY KEY, x)").unwrap();
    for (n, value) in values.iter().enumerate() {
        let args = [Value::Integer(n as i64), value.clone()];
        let insert = statement("INSERT INTO v VALUES(?, ?) RETURNING x", &args);
        let done = execute(&primary, &[insert]).unwrap();
        assert_eq!(done.results[0].rows, [[value.clone()]]);
        assert_eq!(done.results[0].columns, ["x"]);
        assert_eq!(done.results[0].rows_affected, Some(1));
        assert_eq!(done.results[0].last_insert_rowid, Some(n as i64));
        assert_eq!(done.frame_no, Some(sqld.frame_no()));
    }
    let all = write(&primary, "SELECT x FROM v ORDER BY n").unwrap();
    let all: Vec<_> = all.results[0].rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(all, values);
}

#[test]
fn a_server_without_protobuf_is_asked_in_json() {
    let answer = r#"{"results":[{"type":"ok","response":{"type":"execute","result":{"cols":[],"rows":[],"replication_index":"7"}}},{"type":"ok","response":{"type":"close"}}]}"#;
    let server = FakeServer::start(move |request| match request.path.as_str() {
        "/v3/pipeline" => {
            http_answer("200 OK", "content-type: application/json\r\n", answer.as_bytes())
        }
        _ => http_answer("404 Not Found", "", b""),
    });
    let primary = primary(&server.url());
    for _ in 0..2 {
        assert_eq!(write(&primary, "INSERT").unwrap().frame_no, Some(7));
    }
    let paths: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v3-protobuf/pipeline", "/v3/pipeline", "/v3/pipeline"]);
}

#[test]
fn several_statements_happen_all_or_none() {
    let sqld = Sqld::start();
    let primary = primary(&sqld.url());
    table(&sqld);
    let insert = |n: i64| statement("INSERT INTO t(a) VALUES(?)", &[Value::Integer(n)]);
    let before = sqld.frame_no();
    let error = execute(&primary, &[insert(1), insert(2), insert(1)]).unwrap_err();
    assert_eq!(error.kind(), Kind::Remote(2067));
    assert_eq!(error.to_string(), "statement 3 of 3: UNIQUE constraint failed: t.a");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "0");
    assert_eq!(sqld.frame_no(), before);

    let select = statement("SELECT count(*) FROM t", &[]);
    let done = execute(&primary, &[insert(1), insert(2), select]).unwrap();
    assert_eq!(done.results.len(), 3);
    assert_eq!(done.results[1].last_insert_rowid, Some(2));
    assert_eq!(done.results[2].rows, [[Value::Integer(2)]]);
    assert_eq!(done.frame_no, Some(sqld.frame_no()));

    let error = execute(&primary, &[insert(3), statement("COMMIT", &[]), insert(4)]).unwrap_err();
    assert_eq!(error.kind(), Kind::BadArgument);
    // An error that rolls back by itself leaves nothing behind either.
    let rollback = statement("INSERT OR ROLLBACK INTO t(a) VALUES(1)", &[]);
    let error = execute(&primary, &[insert(3), rollback]).unwrap_err();
    assert!(error.to_string().starts_with("statement 2 of 2: "), "{error}");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "2");
    // A constraint that is only checked at the end.
    sqld.execute("CREATE TABLE c(p REFERENCES t(a) DEFERRABLE INITIALLY DEFERRED)");
    let orphan = statement("INSERT INTO c VALUES(99)", &[]);
    if write(&primary, "PRAGMA foreign_keys").unwrap().results[0].rows == [[Value::Integer(1)]] {
        let error = execute(&primary, &[insert(5), orphan]).unwrap_err();
        assert_eq!(error.kind(), Kind::Remote(787));
        assert!(error.to_string().starts_with("the primary did not commit: "), "{error}");
        assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "2");
    }
}

#[test]
fn constraints_keep_the_codes_of_sqlite() {
    let sqld = Sqld::start();
    let primary = primary(&sqld.url());
    sqld.execute("CREATE TABLE k(u UNIQUE, n NOT NULL, c CHECK(c > 0), i INTEGER PRIMARY KEY)");
    write(&primary, "INSERT INTO k VALUES(1, 1, 1, 1)").unwrap();
    for (values, code, text) in [
        ("1, 1, 1, 2", 2067, "UNIQUE constraint failed: k.u"),
        ("2, NULL, 1, 2", 1299, "NOT NULL constraint failed: k.n"),
        ("2, 1, 0, 2", 275, "CHECK constraint failed: c > 0"),
        ("2, 1, 1, 1", 2067, "UNIQUE constraint failed: k.i"),
    ] {
        let error = write(&primary, &format!("INSERT INTO k VALUES({values})")).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Remote(code), text));
        assert_eq!(error.code(), code);
    }
    for sql in ["SELEC", "SELECT * FROM nope", "VACUUM", "", "SELECT 1; SELECT 2"] {
        let error = write(&primary, sql).unwrap_err();
        assert_eq!(error.kind(), Kind::Remote(1), "{sql}: {error}");
    }
    for sql in ["BEGIN", "savepoint a"] {
        assert_eq!(write(&primary, sql).unwrap_err().kind(), Kind::BadArgument);
    }
}

#[test]
fn a_refused_token_is_named_and_never_shown() {
    let sqld = Sqld::with_tokens();
    table(&sqld);
    let with = |token| primary_with(&sqld.url(), token, ConnectOptions::default());
    for (token, cause) in [
        (None, "wants a token"),
        (Some(tokens::EXPIRED), "expired"),
        (Some(tokens::FORGED), "refused the token"),
        (Some("rubbish"), "refused the token"),
        (Some("with a blank"), "cannot be used"),
        (Some("with\na break"), "cannot be used"),
    ] {
        let primary = with(token);
        let pull = Memory::default().pull(&primary).unwrap_err();
        for error in [pull, write(&primary, "INSERT INTO t(b) VALUES(1)").unwrap_err()] {
            assert_eq!(error.kind(), Kind::Auth, "{error}");
            assert!(error.to_string().contains(cause), "{cause}: {error}");
            assert!(token.is_none_or(|token| !error.to_string().contains(token)), "{error}");
        }
    }
    let reader = with(Some(tokens::READ_ONLY));
    Memory::default().pull(&reader).unwrap();
    let error = write(&reader, "INSERT INTO t(b) VALUES(1)").unwrap_err();
    assert_eq!(error.kind(), Kind::Auth);
    assert!(error.to_string().contains("does not let this token write"), "{error}");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "0");

    reader.set_token(Some(tokens::READ_WRITE.into()));
    write(&reader, "INSERT INTO t(b) VALUES(1)").unwrap();
    let in_url = format!("{}?authToken={}", sqld.url(), tokens::READ_WRITE);
    write(&primary(&in_url), "INSERT INTO t(b) VALUES(1)").unwrap();
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "2");
}

#[test]
fn namespaces_are_kept_apart() {
    let sqld = Sqld::with_namespaces();
    sqld.create_namespace("one");
    sqld.create_namespace("two");
    let named = |name: &str| {
        let namespace = Some(name.to_owned());
        primary_with(&sqld.url(), None, ConnectOptions { namespace, ..ConnectOptions::default() })
    };
    write(&named("one"), "CREATE TABLE only_in_one(a)").unwrap();
    let (mut one, mut two) = (Memory::default(), Memory::default());
    assert!(one.pull(&named("one")).unwrap().frames > 0);
    assert_eq!(two.pull(&named("two")).unwrap().frames, 0);
    for error in [
        Memory::default().pull(&named("three")).unwrap_err(),
        write(&named("three"), "SELECT 1").unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Protocol);
        assert!(error.to_string().contains("no such database"), "{error}");
    }
}
