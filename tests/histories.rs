//! A primary that crashed begins a new history, in which the same frame
//! numbers come again: none of the old ones may be taken for a new one. And
//! what else a connection must keep apart.

mod common;

use std::time::{Duration, Instant};

use common::*;

/// A replica whose connection has written `rows` rows to a primary that then
/// crashed and came back.
fn after_a_crash(options: &str, rows: u32) -> (Sqld, TempDir, std::path::PathBuf, Shell) {
    let mut sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    let (folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.json(&format!("SELECT replica_attach('{}', NULL, '{options}')", sqld.url()));
    for i in 0..rows {
        shell.json(&format!("SELECT replica_write('INSERT INTO t(x) VALUES (?)', {i})"));
    }
    sqld.kill9();
    sqld.resume();
    (sqld, folder, db, shell)
}

fn assert_written(shell: &mut Shell, written: &serde_json::Value, condition: &str) {
    assert_eq!(written["synced"], true, "{written}");
    assert_eq!(shell.run(&format!("SELECT count(*) FROM t WHERE {condition}")), "1", "{written}");
}

#[test]
fn a_write_after_a_crash_and_a_sync_is_readable() {
    let (sqld, _folder, db, mut shell) = after_a_crash("{}", 30);
    assert_eq!(shell.sync()["reset"], true);
    let written = shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (?)', 'after')");
    assert_written(&mut shell, &written, "x = 'after'");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_write_right_after_a_crash_is_readable() {
    for options in ["{}", r#"{"live": true}"#, r#"{"sync_interval": 3600}"#] {
        let (sqld, _folder, db, mut shell) = after_a_crash(options, 30);
        let written = shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (?)', 'after')");
        assert_written(&mut shell, &written, "x = 'after'");
        assert_replica_equals_primary(&db, &sqld);
    }
}

#[test]
fn a_transaction_right_after_a_crash_is_readable() {
    for options in ["{}", r#"{"sync_interval": 3600}"#] {
        let (sqld, _folder, db, mut shell) = after_a_crash(options, 30);
        shell.run("SELECT replica_begin()");
        shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (?)', 'after')");
        let committed = shell.json("SELECT replica_commit()");
        assert_written(&mut shell, &committed, "x = 'after'");
        assert_replica_equals_primary(&db, &sqld);
    }
}

#[test]
fn a_table_that_lands_on_an_old_frame_number_is_there() {
    for rows in 1..6 {
        let (sqld, _folder, db, mut shell) = after_a_crash("{}", rows);
        let made = shell.json("SELECT replica_write('CREATE TABLE u(x)')");
        assert_eq!(made["synced"], true, "{made}");
        assert_eq!(shell.run("SELECT count(*) FROM u"), "0", "after {rows} rows: {made}");
        assert_replica_equals_primary(&db, &sqld);
    }
}

/// A reader that is still where it was before the crash, and a write of
/// another replica after it, whose frame has a number that the reader's file
/// has passed long ago.
#[test]
fn waiting_for_a_position_is_not_ended_by_the_same_number_of_another_history() {
    let (sqld, _folder, _db, mut writer) = after_a_crash("{}", 0);
    for i in 0..30 {
        writer.json(&format!("SELECT replica_write('INSERT INTO t(x) VALUES (?)', {i})"));
    }
    let (_other, db) = empty_place();
    let mut reader = Shell::attached(&db, &sqld.url());
    let old = reader.json("SELECT replica_status()");
    assert_eq!(reader.run("SELECT position FROM replica_status"), old["position"]);
    let mut sqld = sqld;
    sqld.kill9();
    sqld.resume();

    writer.sync();
    let written = writer.json("SELECT replica_write('INSERT INTO t(x) VALUES (?)', 'after')");
    assert_written(&mut writer, &written, "x = 'after'");
    let frame = written["frame_no"].as_u64().unwrap();
    assert!(frame < old["frame_no"].as_u64().unwrap(), "{written} {old}");

    // The number says nothing: it is there at once, and the row is not.
    reader.run(&format!("SELECT replica_wait({frame}, 0)"));
    assert_eq!(reader.run("SELECT count(*) FROM t WHERE x = 'after'"), "0");
    let position = written["position"].as_str().unwrap();
    let error = reader.error(&format!("SELECT replica_wait('{position}', 0.2)"));
    let at = old["position"].as_str().unwrap();
    let expected = format!(
        "replica_wait: position {position} did not arrive within 0.2 s: the file is at position \
         {at} of another history; sync it, or wait longer"
    );
    assert!(error.contains(&expected), "{error}");

    let synced = reader.sync();
    assert_eq!(synced["reset"], true, "{synced}");
    let reached = reader.run(&format!("SELECT replica_wait('{position}', 0)"));
    assert_eq!(reached, synced["frame_no"].to_string());
    assert_eq!(reader.run("SELECT count(*) FROM t WHERE x = 'after'"), "1");
    // The other way round: what is gone does not come with its number.
    for _ in 0..40 {
        writer.json("SELECT replica_write('INSERT INTO t(x) VALUES (?)', 'more')");
    }
    let synced = reader.sync();
    assert!(synced["frame_no"].as_u64() > old["frame_no"].as_u64(), "{synced} {old}");
    let error = reader.error(&format!("SELECT replica_wait('{at}', 0.2)"));
    assert!(error.contains("of another history"), "{error}");
}

#[test]
fn a_wait_for_a_position_ends_when_the_file_is_reset_to_its_history() {
    if memory::cannot_do("no other process has it") {
        return;
    }
    let (sqld, _folder, db, mut reader) = after_a_crash("{}", 30);
    let (_other, fresh) = empty_place();
    let mut writer = Shell::attached(&fresh, &sqld.url());
    let written = writer.json("SELECT replica_write('INSERT INTO t(x) VALUES (?)', 'after')");
    let position = written["position"].as_str().unwrap();
    let wait = format!("SELECT replica_wait('{position}', 20) > 0");
    let waiting = std::thread::spawn(move || {
        assert_eq!(reader.run(&wait), "1");
        reader.run("SELECT count(*) FROM t WHERE x = 'after'")
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(!waiting.is_finished(), "nobody has brought it yet");
    let mut bringer = Shell::loaded(&db);
    bringer.json(&format!("SELECT replica_attach('{}')", sqld.url()));
    bringer.sync();
    assert_eq!(waiting.join().unwrap(), "1");
}

#[test]
fn each_result_with_a_frame_has_its_position_where_the_history_is_known() {
    for options in ["{}", r#"{"live": true}"#] {
        let sqld = Sqld::start();
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        let attached =
            shell.json(&format!("SELECT replica_attach('{}', NULL, '{options}')", sqld.url()));
        assert_eq!(attached["position"], serde_json::Value::Null, "{attached}");
        let mut history = None;
        for sql in [
            "SELECT replica_write('CREATE TABLE t(x)')",
            "SELECT replica_write('INSERT INTO t VALUES (1)')",
            "SELECT replica_batch('INSERT INTO t VALUES (?)', value) FROM json_each('[1,2,3]')",
            "SELECT replica_migrate('ALTER TABLE t ADD COLUMN y')",
            "SELECT replica_write('SELECT 1')",
            "SELECT replica_sync()",
            "SELECT replica_status()",
        ] {
            let result = shell.json(sql);
            let position = result["position"].as_str().unwrap_or_else(|| panic!("{sql}: {result}"));
            let (of, frame) = position.split_once(':').unwrap();
            assert_eq!(frame, result["frame_no"].to_string(), "{sql}: {result}");
            assert_eq!(history.get_or_insert(of.to_owned()), of, "{sql}: {result}");
            shell.run(&format!("SELECT replica_wait('{position}', 0)"));
        }
        let row = "SELECT position = frame_no FROM (SELECT substr(position, 14) position, frame_no \
                   FROM replica_write('INSERT INTO t(x) VALUES (4)'))";
        assert_eq!(
            shell.run(&row.replace("position = frame_no", "position = '' || frame_no")),
            "1"
        );
    }
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let options = r#"{"read_your_writes": false}"#;
    shell.json(&format!("SELECT replica_attach('{}', NULL, '{options}')", sqld.url()));
    let written = shell.json("SELECT replica_write('INSERT INTO t VALUES (1)')");
    assert_eq!(written["synced"], false, "{written}");
    assert_eq!(written["position"], serde_json::Value::Null, "{written}");
}

#[test]
fn a_position_that_is_none_is_refused_in_one_sentence() {
    let sqld = Sqld::start();
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    for bad in
        [":", "1:2", "0123456789ab:", "0123456789ab:-1", "0123456789ag:1", "0123456789ab:1:1"]
    {
        let error = shell.error(&format!("SELECT replica_wait('{bad}', 0)"));
        let expected = "replica_wait: position must be 12 hex digits, a colon and a frame number, as \
                        a result shows it; pass that text unchanged";
        assert!(error.contains(expected), "{bad}: {error}");
    }
}

#[test]
fn a_second_load_on_a_connection_keeps_its_replica() {
    let sqld = Sqld::start();
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.run(common::shell::load().trim_end());
    assert_eq!(shell.run("SELECT count(*) FROM replica_status"), "1");
}

#[test]
fn a_write_does_not_wait_for_the_next_interval() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let url = sqld.url();
    shell.json(&format!("SELECT replica_attach('{url}', NULL, '{{\"sync_interval\": 3600}}')"));
    let started = Instant::now();
    for _ in 0..5 {
        let written = shell.json("SELECT replica_write('INSERT INTO t VALUES (1)')");
        assert_eq!(written["synced"], true);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_replica_of_an_empty_primary_is_attached_offline() {
    if memory::cannot_do("it ends with its connection") {
        return;
    }
    let mut sqld = Sqld::start();
    let (_folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    sqld.stop();
    let mut shell = Shell::attached(&db, &sqld.url());
    assert_eq!(shell.run("SELECT state, frame_no IS NULL FROM replica_status"), "error|1");
}

#[test]
fn a_second_attach_that_means_another_database_is_refused() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let url = sqld.url();
    let error =
        shell.error(&format!("SELECT replica_attach('{url}', NULL, '{{\"namespace\": \"b\"}}')"));
    assert!(error.contains("call replica_detach() first"), "{error}");
    shell.run("SELECT replica_begin()");
    let error = shell.error(&format!("SELECT replica_attach('{url}')"));
    assert!(error.contains("a transaction is open"), "{error}");
}

#[test]
fn a_long_text_with_many_semicolons_is_one_statement_in_no_time() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let started = Instant::now();
    shell.json(
        "SELECT replica_write('INSERT INTO t VALUES (''' || replace(hex(zeroblob(200000)), '0', ';') || ''')')",
    );
    assert_eq!(shell.run("SELECT length(x) FROM t"), "400000");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}
