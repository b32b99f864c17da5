//! The main job, through the real sqlite3 shell against a real sqld: attach,
//! sync, write, read. What a shell that never loaded the extension reads is
//! compared with the primary after every step.

#[path = "../common/mod.rs"]
mod common;

mod primary;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::*;

/// A primary with this content, and an attached shell on a fresh replica of it.
fn replica_of(content: &str) -> (Sqld, TempDir, PathBuf, Shell) {
    let sqld = Sqld::start();
    if !content.is_empty() {
        sqld.execute(content);
    }
    let (folder, db) = empty_place();
    let shell = Shell::attached(&db, &sqld.url());
    (sqld, folder, db, shell)
}

fn orders() -> (Sqld, TempDir, PathBuf, Shell) {
    replica_of(
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT); \
         INSERT INTO orders VALUES (1, 'rope'), (7, 'lantern')",
    )
}

#[test]
fn attach_write_read_sync() {
    let (sqld, _folder, db, mut shell) = orders();
    assert_eq!(shell.run("SELECT * FROM orders WHERE id = 7"), "7|lantern");
    let written = shell
        .json("SELECT replica_write('INSERT INTO orders(item) VALUES (?) RETURNING id', 'kite')");
    assert_eq!(written["rows"], serde_json::json!([[8]]));
    assert_eq!(written["columns"], serde_json::json!(["id"]));
    assert_eq!((&written["rows_affected"], &written["last_insert_rowid"]), (&1.into(), &8.into()));
    assert_eq!(written["synced"], true);
    assert_eq!(shell.run("SELECT * FROM orders WHERE item = 'kite'"), "8|kite");

    sqld.execute("INSERT INTO orders(item) VALUES ('drum')");
    let synced = shell.sync();
    assert!(synced["frames_synced"].as_u64() > Some(0), "{synced}");
    assert_eq!(synced["frame_no"], sqld.frame_no());
    assert_eq!(shell.run("SELECT item FROM orders WHERE id = 9"), "drum");
    let again = shell.sync();
    assert_eq!((&again["frames_synced"], &again["pages_written"]), (&0.into(), &0.into()));
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn status_tells_where_the_replica_is() {
    let (sqld, _folder, db, mut shell) = orders();
    shell.sync();
    let row = shell.run(
        "SELECT path, sync_url, protocol, frame_no, primary_frame_no, lag_frames, \
                         writes, last_error IS NULL FROM replica_status",
    );
    let frame = sqld.frame_no();
    let path = db.canonicalize().unwrap();
    assert_eq!(row, format!("{}|{}|sqld|{frame}|{frame}|0|0|1", path.display(), sqld.url()));
    let age = shell.run("SELECT unixepoch('now') * 1000 - last_sync_unix_ms FROM replica_status");
    assert!((-2000..20_000).contains(&age.parse::<i64>().unwrap()), "{age}");
    shell.run("SELECT replica_detach()");
    assert_eq!(shell.run("SELECT count(*) FROM replica_status"), "0");
}

/// Every kind of table and every kind of change; the steps build on each
/// other, and each is synced and compared.
#[test]
fn tables_and_changes_of_every_kind() {
    let (sqld, _folder, db, mut shell) = replica_of("");
    let steps = [
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c REAL, d BLOB)",
        "INSERT INTO t VALUES (1, 'x', 1.5, x'00ff'), (2, NULL, -0.1, zeroblob(9000)), (-5, 'ä€𝄞', 1e300, '')",
        "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID",
        "INSERT INTO w VALUES ('b', 1), ('a', 2), ('', NULL)",
        "CREATE TABLE auto(id INTEGER PRIMARY KEY AUTOINCREMENT, x)",
        "INSERT INTO auto(x) VALUES (1), (2); DELETE FROM auto WHERE id = 2",
        "CREATE TABLE strictly(i INT, r REAL, t TEXT, b BLOB, a ANY) STRICT",
        "INSERT INTO strictly VALUES (1, 2, '3', x'04', '5')",
        "CREATE TABLE gen(a, b AS (a * 2) STORED, c AS (a || '!') VIRTUAL)",
        "INSERT INTO gen(a) VALUES (21), ('z')",
        "CREATE INDEX partial ON t(b) WHERE b IS NOT NULL",
        "CREATE INDEX expression ON t(lower(b), a DESC)",
        "CREATE UNIQUE INDEX uniq ON gen(a)",
        "CREATE VIEW v AS SELECT a, b FROM t WHERE a > 0",
        "CREATE TABLE log(what, id)",
        "CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES ('new', new.a); END",
        "INSERT INTO t(b) VALUES ('triggers')",
        "CREATE VIRTUAL TABLE ft USING fts5(title, body)",
        "INSERT INTO ft VALUES ('one', 'the quick brown fox'), ('two', 'jumps over')",
        "UPDATE ft SET body = 'the slow fox' WHERE title = 'one'",
        "CREATE TABLE parent(id PRIMARY KEY); CREATE TABLE child(p REFERENCES parent ON DELETE CASCADE)",
        "INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1), (2)",
        "CREATE TABLE \"odd \"\" name|x\"(\"col \"\" 1\", \"select\")",
        "INSERT INTO \"odd \"\" name|x\" VALUES ('a\nb', 'c|d')",
        "UPDATE t SET d = randomblob(30000) WHERE a = 1",
        "UPDATE w SET v = v + 1",
        "DELETE FROM t WHERE a = 2",
        "ALTER TABLE t ADD COLUMN e DEFAULT 'later'",
        "ALTER TABLE w RENAME COLUMN v TO value",
        "ALTER TABLE strictly RENAME TO strict2",
        "ALTER TABLE strict2 DROP COLUMN a",
        "CREATE TABLE big(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
            WHERE i < 20000) INSERT INTO big SELECT 'row ' || i FROM n",
        "DELETE FROM big WHERE rowid % 3 = 0",
        "DROP INDEX partial",
        "DROP VIEW v",
        "DROP TRIGGER tr",
        "DROP TABLE big",
        "DROP TABLE ft",
        "REINDEX",
    ];
    for step in steps {
        sqld.execute(step);
        let synced = shell.sync();
        assert_eq!(synced["frame_no"], sqld.frame_no(), "{step}");
        assert_replica_equals_primary(&db, &sqld);
    }
    // And all of it once more, by a replica that starts now.
    let (_folder, fresh) = empty_place();
    Shell::attached(&fresh, &sqld.url()).close();
    assert_replica_equals_primary(&fresh, &sqld);
}

#[test]
fn full_text_search_works_on_the_replica() {
    let (_sqld, _folder, db, _shell) = replica_of(
        "CREATE VIRTUAL TABLE ft USING fts5(body); INSERT INTO ft VALUES ('quick fox'), ('slow dog')",
    );
    assert_eq!(scalar(&db, "SELECT body FROM ft WHERE ft MATCH 'fox'"), "quick fox");
}

/// sqld itself refuses rows above 5 MB, but takes over a file that has them.
#[test]
fn a_blob_of_20_mb() {
    let (folder, db) = empty_place();
    let source = folder.path().join("source.db");
    sql(&source, "CREATE TABLE t(x); INSERT INTO t VALUES (randomblob(20000000)), ('small');");
    let sqld = Sqld::over(&source);
    let mut shell = Shell::attached(&db, &sqld.url());
    assert_eq!(shell.run("SELECT length(x) FROM t"), "20000000\n5");
    assert_replica_equals_file(&db, &source);
}

#[test]
fn the_largest_blobs_come_one_by_one() {
    let (sqld, _folder, db, mut shell) = replica_of("CREATE TABLE t(x)");
    for _ in 0..4 {
        sqld.execute("INSERT INTO t VALUES (randomblob(4900000))");
        shell.sync();
    }
    assert_eq!(scalar(&db, "SELECT sum(length(x)) FROM t"), "19600000");
    // sqld cannot send such a row as hex text, but it can add one up.
    for part in [1, 2_500_001, 4_899_990] {
        let sum = format!("SELECT group_concat(hex(substr(x, {part}, 9))) FROM t");
        assert_eq!(scalar(&db, &sum), sqld.scalar(&sum));
    }
    assert_eq!(scalar(&db, "PRAGMA integrity_check"), "ok");
}

#[test]
fn a_blob_of_2_mb_written_through_the_replica() {
    let (sqld, _folder, db, mut shell) = replica_of("CREATE TABLE t(x)");
    shell.run("SELECT length(replica_write('INSERT INTO t VALUES (?)', randomblob(2000000)))");
    assert_eq!(scalar(&db, "SELECT length(x) FROM t"), "2000000");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn an_empty_primary_is_a_replica_without_tables() {
    let (sqld, _folder, db, mut shell) = replica_of("");
    assert_eq!(shell.run("SELECT count(*) FROM sqlite_schema"), "0");
    let refused = sql_error(&db, "CREATE TABLE mine(x);");
    assert_eq!(refused, "attempt to write a readonly database");
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    shell.sync();
    assert_eq!(shell.run("SELECT x FROM t"), "1");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_hundred_small_transactions() {
    let (sqld, _folder, db, mut shell) = replica_of("CREATE TABLE t(i INTEGER PRIMARY KEY, x)");
    for i in 1..=100 {
        sqld.execute(&format!("INSERT INTO t VALUES ({i}, randomblob(200))"));
        shell.sync();
        // A reader that comes and goes, as it would in life.
        assert_eq!(scalar(&db, "SELECT count(*) FROM t"), i.to_string());
    }
    assert_replica_equals_primary(&db, &sqld);
    // The same by writes through the replica, each read back at once.
    for i in 101..=200 {
        shell.run(&format!("SELECT replica_write('INSERT INTO t VALUES (?, ?)', {i}, 'w{i}')"));
        assert_eq!(shell.run(&format!("SELECT x FROM t WHERE i = {i}")), format!("w{i}"));
    }
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_transaction_of_50_mb() {
    let (sqld, folder, db, mut shell) = replica_of("CREATE TABLE t(i INTEGER PRIMARY KEY, x)");
    sqld.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
         INSERT INTO t SELECT i, randomblob(10000) FROM n",
    );
    shell.sync();
    assert_eq!(scalar(&db, "SELECT count(*), sum(length(x)) FROM t"), "5000|50000000");
    assert_replica_equals_primary(&db, &sqld);
    // Small syncs after it do not keep the space in the log for ever.
    for i in 0..20 {
        sqld.execute(&format!("UPDATE t SET x = {i} WHERE i = {i}"));
        shell.sync();
    }
    shell.close();
    assert_replica_equals_primary(&db, &sqld);
    let wal = std::fs::metadata(folder.path().join("app.db-wal")).map_or(0, |wal| wal.len());
    assert!(wal < 20_000_000, "{wal} bytes of WAL after everything is closed");
}

#[test]
fn plain_writes_are_refused_and_change_nothing() {
    let (sqld, folder, db, mut shell) = orders();
    let contents = |folder: &Path| -> Vec<(String, Vec<u8>)> {
        let wanted = files(folder).into_iter().filter(|name| !name.ends_with("-shm"));
        wanted.map(|name| (name.clone(), std::fs::read(folder.join(name)).unwrap())).collect()
    };
    let before = contents(folder.path());
    let writes = [
        "INSERT INTO orders(item) VALUES ('mine')",
        "UPDATE orders SET item = 'mine'",
        "DELETE FROM orders",
        "CREATE TABLE mine(x)",
        "DROP TABLE orders",
        "CREATE INDEX mine ON orders(item)",
        "PRAGMA user_version = 7",
        "BEGIN IMMEDIATE; INSERT INTO orders(item) VALUES ('mine')",
    ];
    for write in writes {
        let refused = sql_error(&db, &format!("{write};"));
        assert_eq!(refused, "attempt to write a readonly database", "{write}");
    }
    let refused = shell.error("INSERT INTO orders(item) VALUES ('mine')");
    assert_eq!(refused, "attempt to write a readonly database");
    assert!(contents(folder.path()) == before, "a refused write changed the files");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_plain_shell_may_copy_and_vacuum_into() {
    let (_sqld, folder, db, _shell) = orders();
    let copy = folder.path().join("copy.db");
    sql(&db, &format!("VACUUM INTO {};", quoted(copy.display())));
    sql(&copy, "INSERT INTO orders(item) VALUES ('mine');");
    assert_eq!(scalar(&copy, "SELECT count(*) FROM orders"), "3");
}

#[test]
fn loading_adds_these_functions_and_modules() {
    let (_folder, db) = empty_place();
    let list = |script: &str| -> Vec<String> {
        let script = format!(
            "{script}SELECT name || ' ' || narg FROM pragma_function_list UNION \
             SELECT 'module ' || name FROM pragma_module_list ORDER BY 1;\n"
        );
        sql(&db, &script).lines().map(str::to_owned).collect()
    };
    let before = list("");
    let added: Vec<String> =
        list(&shell::load()).into_iter().filter(|name| !before.contains(name)).collect();
    let expected = std::fs::read_to_string("tests/sql/surface.txt").unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write("tests/sql/surface.txt", added.join("\n") + "\n").unwrap();
    } else {
        assert_eq!(added.join("\n") + "\n", expected, "UPDATE=1 accepts it");
    }
    // Loading alone touches no file.
    assert_eq!(files(db.parent().unwrap()), ["app.db"]);
    assert_eq!(std::fs::metadata(&db).unwrap().len(), 0);
}

#[test]
fn written_values_keep_their_type() {
    let (sqld, _folder, db, mut shell) = replica_of("CREATE TABLE t(name, v)");
    let values = [
        ("null", "NULL"),
        ("zero", "0"),
        ("minimum", "-9223372036854775808"),
        ("maximum", "9223372036854775807"),
        ("beyond 2^53", "9007199254740993"),
        ("real", "0.1"),
        ("integral real", "2.0"),
        ("tiny", "5e-324"),
        ("huge", "1.7976931348623157e308"),
        ("infinite", "9e999"),
        ("text", "'ä€𝄞''\"'"),
        ("empty text", "''"),
        ("number as text", "'42'"),
        ("line break", "'a' || char(13, 10) || 'b'"),
        ("blob", "x'00ff80'"),
        ("empty blob", "x''"),
        ("one byte", "x'01'"),
        ("two bytes", "x'0102'"),
    ];
    for (name, value) in values {
        let (name, insert) = (quoted(name), "INSERT INTO t VALUES (?, ?) RETURNING v");
        shell.run(&format!("SELECT replica_write('{insert}', {name}, {value})"));
        let same = format!(
            "SELECT typeof(v) = typeof({value}) AND v IS {value}, typeof(v), quote(v) FROM t WHERE name = {name}"
        );
        assert!(shell.run(&same).starts_with("1|"), "{name}: {}", shell.run(&same));
    }
    assert_eq!(shell.run("SELECT count(*) FROM t"), values.len().to_string());
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn returned_values_are_json() {
    let (_sqld, _folder, _db, mut shell) = replica_of("CREATE TABLE t(v)");
    let written = shell.json(
        "SELECT replica_write('INSERT INTO t VALUES (NULL), (9223372036854775807), (0.5), (''a\"b''), (x''00ff'') RETURNING v, typeof(v) AS t')",
    );
    let expected = serde_json::json!([
        [null, "null"],
        [9223372036854775807_i64, "integer"],
        [0.5, "real"],
        ["a\"b", "text"],
        [{ "base64": "AP8=" }, "blob"]
    ]);
    assert_eq!(written["rows"], expected);
    assert_eq!(written["columns"], serde_json::json!(["v", "t"]));
    assert_eq!(written["rows_affected"], 5);
    // The result composes with SQLite's own JSON functions.
    let composed = "SELECT replica_write('DELETE FROM t') ->> 'rows_affected'";
    assert_eq!(shell.run(composed), "5");
    assert_eq!(
        shell.run("SELECT json_type(json_object('x', replica_write('SELECT 1')), '$.x')"),
        "object"
    );
}

#[test]
fn several_statements_are_one_transaction() {
    let (sqld, _folder, db, mut shell) = replica_of("CREATE TABLE t(x UNIQUE)");
    let frame = sqld.frame_no();
    let written = shell.json(
        "SELECT replica_write('INSERT INTO t VALUES (1); INSERT INTO t VALUES (''a;b''), (3); SELECT count(*) AS n FROM t')",
    );
    assert_eq!(written["results"].as_array().map(Vec::len), Some(3), "{written}");
    assert_eq!(written["results"][1]["rows_affected"], 2);
    assert_eq!(written["results"][2]["rows"], serde_json::json!([[3]]));
    assert_eq!(shell.run("SELECT group_concat(x) FROM t"), "1,a;b,3");
    assert!(sqld.frame_no() > frame);

    // The second one fails, so the first has not happened.
    let error = shell.error("SELECT replica_write('DELETE FROM t; INSERT INTO t VALUES (1), (1)')");
    assert!(error.contains("UNIQUE constraint failed: t.x"), "{error}");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "3");
    shell.sync();
    assert_eq!(shell.run("SELECT count(*) FROM t"), "3");

    // A semicolon inside a trigger does not end the statement.
    shell.run(
        "SELECT replica_write('CREATE TABLE log(x); CREATE TRIGGER tr AFTER INSERT ON t BEGIN \
         INSERT INTO log VALUES (new.x); INSERT INTO log VALUES (''again''); END; \
         INSERT INTO t VALUES (9)')",
    );
    assert_eq!(shell.run("SELECT group_concat(x) FROM log"), "9,again");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn an_error_of_the_primary_is_reported_and_nothing_happened() {
    let (sqld, _folder, db, mut shell) =
        replica_of("CREATE TABLE t(x UNIQUE NOT NULL CHECK (x > 0)); INSERT INTO t VALUES (1)");
    for (statement, cause) in [
        ("INSERT INTO t VALUES (1)", "UNIQUE constraint failed: t.x"),
        ("INSERT INTO t VALUES (NULL)", "NOT NULL constraint failed: t.x"),
        ("INSERT INTO t VALUES (0)", "CHECK constraint failed: x > 0"),
        ("INSERT INTO nowhere VALUES (1)", "no such table: nowhere"),
        ("INSERT INTO", "could not be parsed"),
    ] {
        let error = shell.error(&format!("SELECT replica_write({})", quoted(statement)));
        assert!(error.starts_with("replica_write: "), "{error}");
        assert!(error.to_lowercase().contains(&cause.to_lowercase()), "{statement}: {error}");
    }
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn two_shells_sync_one_file() {
    let (sqld, _folder, db, mut one) = orders();
    let mut two = Shell::attached(&db, &sqld.url());
    for i in 0..30 {
        sqld.execute(&format!("INSERT INTO orders(item) VALUES ('item {i}')"));
        let statement = "SELECT replica_sync()";
        one.send(statement);
        two.send(statement);
        for shell in [&mut one, &mut two] {
            let answer = shell.answer();
            assert!(answer.starts_with('{'), "{answer}");
            assert_eq!(shell.run("SELECT count(*) FROM orders"), (i + 3).to_string());
        }
    }
    one.run("SELECT replica_write('INSERT INTO orders(item) VALUES (''by one'')')");
    assert_eq!(two.run("SELECT count(*) FROM orders WHERE item = 'by one'"), "1");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_replica_without_first_sync_waits_for_one() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.run(&format!(
        "SELECT replica_attach({}, NULL, json_object('first_sync', json('false')))",
        quoted(sqld.url())
    ));
    assert_eq!(shell.run("SELECT count(*) FROM sqlite_schema"), "0");
    shell.sync();
    assert_eq!(shell.run("SELECT x FROM t"), "1");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn without_read_your_writes_the_next_sync_brings_it() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.run(&format!(
        "SELECT replica_attach({}, NULL, '{{\"read_your_writes\": false}}')",
        quoted(sqld.url())
    ));
    let written = shell.json("SELECT replica_write('INSERT INTO t VALUES (1)')");
    assert_eq!(written["synced"], false);
    assert_eq!(shell.run("SELECT count(*) FROM t"), "0");
    shell.sync();
    assert_eq!(shell.run("SELECT count(*) FROM t"), "1");
}

#[test]
fn detach_leaves_a_replica_that_attaches_again() {
    let (sqld, _folder, db, mut shell) = orders();
    assert_eq!(shell.run("SELECT replica_detach()"), "1");
    assert_eq!(shell.run("SELECT replica_detach()"), "0");
    assert_eq!(sql_error(&db, "DELETE FROM orders;"), "attempt to write a readonly database");
    shell.attach(&sqld.url());
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_copied_file_carries_its_position_along() {
    let (sqld, folder, db, shell) = orders();
    shell.close();
    let copy = folder.path().join("copy.db");
    std::fs::copy(&db, &copy).unwrap();
    sqld.execute("INSERT INTO orders(item) VALUES ('more')");
    let mut shell = Shell::attached(&copy, &sqld.url());
    let synced = shell.sync();
    assert_eq!((&synced["reset"], &synced["snapshot"]), (&false.into(), &false.into()), "{synced}");
    assert!(synced["pages_written"].as_u64() < Some(5), "{synced}");
    assert_replica_equals_primary(&copy, &sqld);
}

/// The scripts in `sql/` are what users copy: each runs as it says.
#[test]
fn the_scripts_of_the_sql_folder_run() {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT); INSERT INTO orders VALUES (7, 'lantern')",
    );
    let mut ran = Vec::new();
    for entry in std::fs::read_dir("sql").unwrap() {
        let path = entry.unwrap().path();
        let (_folder, db) = empty_place();
        let script = std::fs::read_to_string(&path)
            .unwrap()
            .replace("http://127.0.0.1:8080", &sqld.url())
            .replace("./dist/replica", &extension().display().to_string())
            .replace("'app.db'", &quoted(db.display()));
        let has_url = ["replica_attach(NULL,", "replica_health(", &sqld.url()]
            .iter()
            .any(|place| script.contains(place));
        assert!(has_url, "{}: no URL to edit", path.display());
        if !script.contains("replica_attach(") {
            Shell::attached(&db, &sqld.url()).close();
        }
        // A cron job runs it again and again.
        for _ in 0..2 {
            let mut command = shell::command(&db);
            command.env("REPLICA_URL", sqld.url());
            let output = shell::shell_in(command, &script);
            assert_eq!((output.stderr.as_str(), output.code), ("", Some(0)), "{}", path.display());
            if path.ends_with("health.sql") {
                assert!(output.stdout.starts_with("replica_healthy{path=\""), "{}", output.stdout);
            }
        }
        assert_replica_equals_primary(&db, &sqld);
        ran.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    ran.sort();
    let all = ["bulk-load.sql", "cron-sync.sql", "health.sql", "quickstart.sql", "transaction.sql"];
    assert_eq!(ran, all);
}

#[test]
fn a_transaction_may_begin_at_once_after_an_attach() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (_folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    for mode in ["IMMEDIATE", "EXCLUSIVE", "DEFERRED"] {
        let mut replica = Shell::attached(&db, &sqld.url());
        replica.run(&format!("BEGIN {mode}"));
        assert_eq!(replica.run("SELECT count(*) FROM t"), "1");
        replica.run("COMMIT");
    }
}
