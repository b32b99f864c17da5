//! The primary is away, begins again, was wiped, wants a token, has namespaces.

use super::*;

#[test]
fn an_existing_replica_attaches_offline() {
    let (mut sqld, _folder, db, shell) = orders();
    let url = sqld.url();
    shell.close();
    sqld.stop();
    let started = Instant::now();
    let mut shell = Shell::loaded(&db);
    let status = shell.attach(&url);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(status["frame_no"].is_u64(), "{status}");
    assert_eq!(shell.run("SELECT item FROM orders WHERE id = 7"), "lantern");
    sqld.resume();
    shell.run("SELECT replica_write('INSERT INTO orders(item) VALUES (''after'')')");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn reads_go_on_while_the_primary_is_away() {
    let (mut sqld, _folder, db, mut shell) = orders();
    sqld.stop();
    for statement in ["SELECT replica_sync()", "SELECT replica_write('DELETE FROM orders')"] {
        let started = Instant::now();
        let error = shell.error(statement);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let function = &statement["SELECT ".len()..statement.find('(').unwrap()];
        assert!(error.starts_with(&format!("{function}: ")), "{error}");
        assert!(error.contains(&sqld.address().to_string()), "{error}");
        assert_eq!(shell.run("SELECT count(*) FROM orders"), "2");
    }
    let error = shell.run("SELECT last_error FROM replica_status");
    assert!(error.contains(&sqld.address().to_string()), "{error}");
    sqld.resume();
    sqld.execute("INSERT INTO orders(item) VALUES ('back')");
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);
}

/// A primary that keeps little of its log serves what came before as a
/// snapshot.
#[test]
fn a_compacted_log_is_bootstrapped_from_a_snapshot() {
    let sqld = Sqld::with(&["--max-log-size=1"]);
    sqld.execute("CREATE TABLE t(i INTEGER PRIMARY KEY, x)");
    let (_folder, early) = empty_place();
    let mut follower = Shell::attached(&early, &sqld.url());
    let mut frame = 0;
    for round in 0..8 {
        sqld.execute(
            "INSERT INTO t(x) SELECT randomblob(1000) FROM (WITH RECURSIVE n(i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n)",
        );
        sqld.execute(&format!("UPDATE t SET x = 'round {round}' WHERE i % 100 = {round}"));
        frame = sqld.frame_no();
    }
    let (_folder2, late) = empty_place();
    let mut shell = Shell::loaded(&late);
    shell.run(&format!(
        "SELECT replica_attach({}, NULL, '{{\"first_sync\": false}}')",
        quoted(sqld.url())
    ));
    let first = shell.sync();
    assert_eq!(first["snapshot"], true, "{first}");
    assert_eq!(first["frame_no"], frame);
    assert_replica_equals_primary(&late, &sqld);
    // The one that was there before goes on by a snapshot, too.
    let next = follower.sync();
    assert_eq!((&next["snapshot"], &next["reset"]), (&true.into(), &false.into()), "{next}");
    assert_replica_equals_primary(&early, &sqld);
}

#[test]
fn sync_after_primary_restart_continues() {
    let (mut sqld, _folder, db, mut shell) = orders();
    sqld.restart();
    sqld.execute("INSERT INTO orders(item) VALUES ('after restart')");
    let synced = shell.sync();
    assert_eq!((&synced["reset"], &synced["snapshot"]), (&false.into(), &false.into()), "{synced}");
    assert!(synced["pages_written"].as_u64() < Some(5), "{synced}");
    assert_replica_equals_primary(&db, &sqld);
    sqld.restart();
    shell.run("SELECT replica_write('INSERT INTO orders(item) VALUES (''write after restart'')')");
    assert_eq!(shell.run("SELECT count(*) FROM orders"), "4");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_crash_of_the_primary_resets_the_replica_atomically() {
    let (mut sqld, _folder, db, mut shell) = orders();
    sqld.execute("CREATE TABLE filler(x); INSERT INTO filler VALUES (zeroblob(1000000))");
    shell.sync();
    // A reader in the middle of its transaction keeps what it sees.
    let mut reader = Shell::plain(&db);
    reader.run("BEGIN");
    assert_eq!(reader.run("SELECT count(*) FROM orders"), "2");
    sqld.kill9();
    sqld.resume();
    sqld.execute("INSERT INTO orders(item) VALUES ('after the crash'); CREATE TABLE after(x)");
    let synced = shell.sync();
    assert_eq!(synced["reset"], true, "{synced}");
    assert_eq!(synced["frame_no"], sqld.frame_no());
    assert!(synced["pages_written"].as_u64() < Some(50), "equal pages were rewritten: {synced}");
    assert_eq!(reader.run("SELECT count(*) FROM orders"), "2");
    reader.run("COMMIT");
    assert_eq!(reader.run("SELECT count(*) FROM orders"), "3");
    assert_eq!(reader.run("SELECT count(*) FROM after"), "0");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_wiped_primary_does_not_empty_the_last_copy() {
    let (mut sqld, _folder, db, mut shell) = orders();
    sqld.stop();
    sqld.wipe();
    sqld.resume();
    let error = shell.error("SELECT replica_sync()");
    assert!(error.starts_with("replica_sync: the primary is empty"), "{error}");
    assert_eq!(scalar(&db, "SELECT count(*) FROM orders"), "2");

    shell.run("SELECT replica_sync('{\"on_reset\": \"replace\"}')");
    assert_eq!(scalar(&db, "SELECT count(*) FROM sqlite_schema"), "0");
    assert_replica_equals_primary(&db, &sqld);

    // Another history with the same schema cookie: open readers must see it.
    sqld.execute("CREATE TABLE other(y); INSERT INTO other VALUES ('new')");
    shell.sync();
    assert_eq!(shell.run("SELECT y FROM other"), "new");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn open_connections_see_the_schema_of_another_history() {
    let (mut sqld, _folder, db, mut shell) =
        replica_of("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 2)");
    let mut reader = Shell::plain(&db);
    assert_eq!(reader.run("SELECT a, b FROM t"), "1|2");
    sqld.stop();
    sqld.wipe();
    sqld.resume();
    // As many schema changes as before, so the cookie is the same.
    sqld.execute("CREATE TABLE u(b, a, c); INSERT INTO u VALUES ('x', 'y', 'z')");
    let synced = shell.sync();
    assert_eq!(synced["reset"], true, "{synced}");
    assert_eq!(reader.error("SELECT * FROM t"), "no such table: t");
    assert_eq!(reader.run("SELECT a, b, c FROM u"), "y|x|z");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn on_reset_error_leaves_the_replica_as_it_is() {
    let (mut sqld, _folder, db, mut shell) = orders();
    sqld.kill9();
    sqld.resume();
    let error = shell.error("SELECT replica_sync('{\"on_reset\": \"error\"}')");
    assert!(error.contains("history"), "{error}");
    assert_eq!(scalar(&db, "SELECT count(*) FROM orders"), "2");
    assert_eq!(shell.sync()["reset"], true);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_token_comes_from_the_call_the_url_or_the_environment() {
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (url, token) = (sqld.url(), tokens::READ_WRITE);
    let attach = |url: &str, token: &str, variable: &str| {
        let (folder, db) = empty_place();
        let mut command = shell::command(&db);
        if let Some((token, place)) = variable.split_once(' ') {
            command.env(token, tokens::READ_WRITE).env(place, url);
        }
        let script = format!(
            "{}SELECT replica_attach({}, {token}) IS NULL;\nSELECT x FROM t;\n",
            shell::load(),
            quoted(url)
        );
        let output = shell::shell_in(command, &script);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("0\n1\n", ""));
        // The token is in none of the files.
        for name in files(folder.path()) {
            let bytes = std::fs::read(folder.path().join(&name)).unwrap();
            let found = bytes.windows(20).any(|part| part == &tokens::READ_WRITE.as_bytes()[..20]);
            assert!(!found, "the token is in {name}");
        }
    };
    attach(&url, &quoted(token), "");
    attach(&format!("{url}?authToken={token}"), "NULL", "");
    attach(&url, "NULL", "REPLICA_TOKEN REPLICA_URL");
    attach(&url, "NULL", "TURSO_AUTH_TOKEN TURSO_DATABASE_URL");
}

#[test]
fn a_read_only_token_replicates_and_does_not_write() {
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let token = quoted(tokens::READ_ONLY);
    shell.run(&format!("SELECT replica_attach({}, {token})", quoted(sqld.url())));
    let error = shell.error("SELECT replica_write('INSERT INTO t VALUES (1)')");
    assert!(error.starts_with("replica_write: "), "{error}");
    assert!(!error.contains(&tokens::READ_ONLY[..20]), "{error}");
    shell.run(&format!("SELECT replica_set_token({})", quoted(tokens::READ_WRITE)));
    shell.run("SELECT replica_write('INSERT INTO t VALUES (1)')");
    assert_eq!(shell.run("SELECT x FROM t"), "1");
    assert_eq!(
        shell.run("SELECT count(*) FROM replica_status WHERE sync_url LIKE '%eyJ%' OR last_error LIKE '%eyJ%'"),
        "0"
    );
}

#[test]
fn a_namespace_is_followed() {
    let sqld = Sqld::with_namespaces();
    sqld.create_namespace("one");
    sqld.query_in(Some("one"), "CREATE TABLE t(x)");
    sqld.query_in(Some("one"), "INSERT INTO t VALUES ('in one')");
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.run(&format!(
        "SELECT replica_attach({}, NULL, '{{\"namespace\": \"one\"}}')",
        quoted(sqld.url())
    ));
    assert_eq!(shell.run("SELECT x FROM t"), "in one");
    shell.run("SELECT replica_write('INSERT INTO t VALUES (''written'')')");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "2");
    assert_eq!(sqld.query_in(Some("one"), "SELECT count(*) FROM t")[0][0]["value"], "2");
}
