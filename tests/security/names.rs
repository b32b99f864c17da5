//! What others choose, names and texts, and where it ends up: in SQL, in JSON,
//! in a message, in a header of HTTP.

use crate::common::*;

/// SQLite looks for a table of the file first. What a function says cannot be
/// said by anybody else.
#[test]
fn tables_that_are_named_like_ours_do_not_speak_for_the_functions() {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE replica_status(state, last_error, frame_no);
         INSERT INTO replica_status VALUES ('live', NULL, 99999);
         CREATE TABLE replica_sync_progress(phase); INSERT INTO replica_sync_progress VALUES ('done');
         CREATE VIEW replica_query AS SELECT 'made up' AS c0",
    );
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    assert_eq!(shell.run("SELECT replica_status() ->> 'state'"), "idle");
    let frame_no = sqld.frame_no();
    assert_eq!(shell.json("SELECT replica_status()")["frame_no"].as_u64(), Some(frame_no));
    sqld.execute("INSERT INTO replica_status VALUES ('connecting', 'x', 1)");
    assert!(shell.sync()["frames_synced"].as_u64() > Some(0));
    assert_eq!(shell.run("SELECT count(*) FROM replica_status"), "2", "it is the primary's table");
    let asked = shell.error("SELECT c0 FROM replica_query('SELECT 1')");
    assert!(asked.contains("is not a function"), "{asked}");
    shell.close();
    assert_replica_equals_primary(&db, &sqld);
}

/// A message is no format, and JSON stays JSON, whatever it is about.
#[test]
fn names_of_the_primary_are_text_wherever_they_are_shown() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    for name in ["%n%n%s%s%x%100000d", "a\\\\u0000\"\"b", "'); DROP TABLE t; --", "{\"\"x\"\":1}"] {
        let plain = name.replace("\"\"", "\"");
        let missing = format!("SELECT * FROM \"{name}\"");
        let error = shell.error(&format!("SELECT replica_write({})", quoted(&missing)));
        assert!(error.ends_with(&format!("no such table: {plain}")), "{error}");
        let told = shell.json("SELECT replica_error()");
        assert!(told["message"].as_str().is_some_and(|text| text.ends_with(&plain)), "{told}");
        let column = format!("UPDATE t SET x = x RETURNING x AS \"{name}\"");
        let report = shell.json(&format!("SELECT replica_write({})", quoted(&column)));
        assert_eq!(report["columns"][0].as_str(), Some(plain.as_str()), "{report}");
        assert_eq!(report["rows"][0][0], 1, "{report}");
    }
    shell.json("SELECT replica_status()");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "1");
}

/// A line break in what goes into a header would begin another one.
#[test]
fn no_text_begins_a_header_of_its_own() {
    let server = FakeServer::always("404 Not Found", "", "");
    let evil = "a\r\nx-evil: 1\r\n\r\nPOST /evil HTTP/1.1";
    let json = |name: &str| serde_json::json!({ name: evil, "timeout": 2 }).to_string();
    let url = server.url();
    for (url, token, options) in [
        (url.clone(), evil.to_owned(), "{}".to_owned()),
        (url.clone(), "t".to_owned(), json("namespace")),
        (url.clone(), "t".to_owned(), json("encryption_key")),
        (format!("{url}/{evil}"), "t".to_owned(), "{}".to_owned()),
        (format!("{url}?authToken={evil}"), String::new(), "{}".to_owned()),
        (format!("{url}?authToken=a%0d%0ax-evil:%201"), String::new(), "{}".to_owned()),
    ] {
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        let arguments = [&url, &token, &options].map(quoted).join(", ");
        let error = shell.ask(&format!("SELECT replica_attach({arguments})"));
        assert!(error.contains("replica_attach: "), "{error}");
        for set in [
            "SELECT replica_set_token('a' || char(13, 10) || 'x-evil: 1')",
            "SELECT replica_sync()",
        ] {
            shell.ask(set);
        }
    }
    for request in server.requests() {
        assert!(request.header("x-evil").is_none(), "{:?}", request.headers);
        assert!(!request.path.contains("evil"), "{}", request.path);
    }
}
