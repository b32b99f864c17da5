//! A schema that the primary understands and this machine's SQLite does not:
//! vector indexes, RANDOM ROWID, functions that only libSQL has, and text that
//! no SQLite can parse.

mod common;

use std::path::Path;

use common::made_up::{Frame, PAGE, serve};
use common::*;

/// What must work on every replica: each table counted by its index and
/// without, `integrity_check`, `VACUUM INTO`, `.dump`.
fn assert_sound(db: &Path, tables: &[&str]) {
    assert_eq!(scalar(db, "PRAGMA integrity_check"), "ok");
    for table in tables {
        let counts = format!(
            "SELECT (SELECT count(*) FROM {table}) - (SELECT count(*) FROM {table} NOT INDEXED)"
        );
        assert_eq!(scalar(db, &counts), "0", "{table}");
    }
    let copy = db.with_extension("copy");
    let _ = std::fs::remove_file(&copy);
    sql(db, &format!("VACUUM INTO {};\n", quoted(copy.display())));
    assert_eq!(scalar(&copy, "PRAGMA integrity_check"), "ok");
    let dump = sql(db, ".dump\n");
    let again = db.with_extension("again");
    let _ = std::fs::remove_file(&again);
    sql(&again, &dump);
    for table in tables {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(scalar(&copy, &count), scalar(db, &count), "{table}");
        assert_eq!(scalar(&again, &count), scalar(db, &count), "{table}");
    }
}

const MOVIES: &str = "CREATE TABLE movies(id INTEGER PRIMARY KEY, title TEXT, embedding F32_BLOB(3)); \
     CREATE INDEX movies_idx ON movies(libsql_vector_idx(embedding, 'metric=cosine')); \
     INSERT INTO movies VALUES (1, 'a', vector('[1,2,3]')), (2, 'b', vector('[1,2,4]'))";

#[test]
fn rows_behind_a_vector_index_are_all_there() {
    let sqld = Sqld::start();
    sqld.execute(MOVIES);
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    assert_eq!(shell.run("SELECT count(*), group_concat(id) FROM movies"), "2|1,2");
    let report = shell
        .json("SELECT replica_write('INSERT INTO movies VALUES (3, ''c'', vector(''[9,9,9]''))')");
    assert_eq!(report["synced"], true);
    assert_eq!(shell.run("SELECT count(*), group_concat(id) FROM movies"), "3|1,2,3");
    let nearest = "SELECT group_concat(row ->> 0) FROM replica_query('SELECT id FROM \
                   vector_top_k(''movies_idx'', vector(''[9,9,9]''), 1)')";
    assert_eq!(shell.run(nearest), "3");
    let note = shell.run("SELECT name, type, rewritten FROM replica_schema_notes");
    assert_eq!(note, "movies_idx|index|1");
    assert_sound(&db, &["movies", "movies_idx_shadow", "libsql_vector_meta_shadow"]);
    // Another process finds the same notes in the file.
    drop(shell);
    let mut other = Shell::attached(&db, &sqld.url());
    let note = other.run("SELECT note FROM replica_schema_notes");
    assert!(note.contains("libsql_vector_idx()"), "{note}");
}

#[test]
fn a_vector_index_that_comes_later_changes_nothing_for_readers() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, e F32_BLOB(2))");
    sqld.execute("INSERT INTO t VALUES (1, vector('[1,2]')), (2, vector('[1,2]'))");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let mut reader = Shell::plain(&db);
    assert_eq!(reader.run("SELECT count(*) FROM t"), "2");
    shell.run("SELECT replica_write('CREATE INDEX i ON t(libsql_vector_idx(e))')");
    for shell in [&mut shell, &mut reader] {
        assert_eq!(shell.run("SELECT count(*), group_concat(id) FROM t"), "2|1,2");
    }
    // It has no room for a comment, and is listed all the same.
    assert_eq!(shell.run("SELECT name, rewritten FROM replica_schema_notes"), "i|1");
    shell.run("SELECT replica_write('DROP INDEX i; INSERT INTO t VALUES (3, NULL)')");
    assert_eq!(shell.run("SELECT count(*) FROM replica_schema_notes"), "0");
    assert_sound(&db, &["t"]);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn random_rowid_makes_no_table_unreadable() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE plain(x); INSERT INTO plain VALUES (1), (2)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    for (table, ddl) in [
        ("a", "CREATE TABLE a(id, x) RANDOM ROWID"),
        ("b", "CREATE TABLE b(id INTEGER, x TEXT) STRICT, RANDOM ROWID"),
        ("c", "CREATE TABLE c(id INTEGER, x TEXT) random\n\trowid, strict"),
        ("d", "CREATE TABLE d(id DEFAULT ')', x CHECK (x <> ' RANDOM ROWID')) RANDOM/**/ROWID"),
    ] {
        sqld.execute(ddl);
        sqld.execute(&format!("INSERT INTO {table}(id, x) VALUES (1, 'one'), (2, 'two')"));
        shell.sync();
        assert_eq!(shell.run("SELECT count(*) FROM plain"), "2", "{ddl}");
        assert_eq!(shell.run(&format!("SELECT group_concat(x) FROM {table}")).len(), 7, "{ddl}");
    }
    assert_eq!(shell.run("SELECT count(*), sum(rewritten) FROM replica_schema_notes"), "4|4");
    assert_sound(&db, &["plain", "a", "b", "c", "d"]);
    // A first sync of the same.
    let (_folder, other) = empty_place();
    drop(Shell::attached(&other, &sqld.url()));
    assert_sound(&other, &["plain", "a", "b", "c", "d"]);
}

/// A schema of many pages: leaves of their own, and texts that continue on
/// overflow pages, in the middle of what is rewritten.
#[test]
fn a_schema_of_many_pages_is_rewritten_wherever_its_text_lies() {
    let sqld = Sqld::start();
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let mut tables = Vec::new();
    for number in 0..40 {
        let table = format!("t{number}");
        // 100 columns more each time: from one page to several.
        let columns: Vec<String> =
            (0..number * 24 + 1).map(|column| format!("column_{column} TEXT")).collect();
        let columns = columns.join(", ");
        let padding = "x".repeat(number * 97 % 53);
        sqld.execute(&format!("CREATE TABLE {table}({columns} /* {padding} */) RANDOM ROWID"));
        sqld.execute(&format!("INSERT INTO {table}(column_0) VALUES ('one')"));
        tables.push(table);
        if number % 7 == 0 {
            shell.sync();
        }
    }
    sqld.execute(MOVIES);
    shell.sync();
    let tables: Vec<&str> = tables.iter().map(String::as_str).chain(["movies"]).collect();
    assert_eq!(shell.run("SELECT count(*), sum(rewritten) FROM replica_schema_notes"), "41|41");
    assert_sound(&db, &tables);
    let (_folder, other) = empty_place();
    drop(Shell::attached(&other, &sqld.url()));
    assert_sound(&other, &tables);
    // The schema shrinks again, and its pages are used for something else.
    for table in &tables[..39] {
        sqld.execute(&format!("DROP TABLE {table}"));
    }
    sqld.execute(
        "CREATE TABLE filler AS WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n \
                  WHERE i < 2000) SELECT i, 'text ' || i AS x FROM n",
    );
    shell.sync();
    assert_sound(&db, &["t39", "movies", "filler"]);
}

#[test]
fn a_check_that_only_libsql_can_compute_is_left_to_the_primary() {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE c(id INTEGER PRIMARY KEY, e F32_BLOB(2), n CHECK (n > 0), \
         CHECK (e IS NULL OR vector_extract(e) <> '[0,0]')); \
         INSERT INTO c VALUES (1, vector('[1,2]'), 1)",
    );
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let refused =
        shell.error("SELECT replica_write('INSERT INTO c VALUES (2, vector(''[0,0]''), 1)')");
    assert!(refused.contains("CHECK constraint failed"), "{refused}");
    let note = shell.run("SELECT name, rewritten, note FROM replica_schema_notes");
    assert!(note.starts_with("c|1|") && note.contains("vector_extract()"), "{note}");
    assert_sound(&db, &["c"]);
    assert!(shell.run("SELECT sql FROM sqlite_schema").contains("CHECK (n > 0)"));
}

/// What this SQLite lacks and nothing can stand for is at least listed, and no
/// row is hidden by it.
#[test]
fn what_cannot_be_computed_here_is_listed() {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE g(id INTEGER PRIMARY KEY, e, v AS (vector_extract(e)), \
         s AS (vector_extract(e)) STORED); \
         CREATE TABLE i(id INTEGER PRIMARY KEY, e); CREATE INDEX ie ON i(vector_extract(e)); \
         CREATE INDEX ip ON i(id) WHERE vector_extract(e) IS NOT NULL; \
         INSERT INTO g(e) VALUES (vector('[1,2]')); INSERT INTO i(e) VALUES (vector('[1,2]'))",
    );
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    assert_eq!(shell.run("SELECT count(*) FROM g"), "1");
    assert_eq!(shell.run("SELECT s FROM g"), "[1,2]");
    assert_eq!(shell.run("SELECT count(*), max(id) FROM i"), "1|1");
    let found = shell.run("SELECT group_concat(name || rewritten) FROM replica_schema_notes");
    assert_eq!(found, "g0,ie0,ip0");
}

#[test]
fn schemas_that_sqlite_knows_are_untouched_and_sound() {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE s(a INTEGER, b TEXT) STRICT; \
         CREATE TABLE w(a PRIMARY KEY, b) WITHOUT ROWID; \
         CREATE TABLE g(a, b AS (a * 2), c AS (a || 'x') STORED); \
         CREATE INDEX gi ON g(lower(c)) WHERE a IS NOT NULL; \
         CREATE VIRTUAL TABLE f USING fts5(body); \
         CREATE TABLE l(a, b); ALTER TABLE l ALTER COLUMN b TO b TEXT NOT NULL DEFAULT 'n'; \
         CREATE VIEW v AS SELECT * FROM s; \
         CREATE TRIGGER r AFTER INSERT ON s BEGIN INSERT INTO l(a) VALUES (new.a); END; \
         INSERT INTO s VALUES (1, 'x'); INSERT INTO w VALUES (1, 2); INSERT INTO g(a) VALUES (1); \
         INSERT INTO f VALUES ('hello world')",
    );
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    assert_eq!(shell.run("SELECT count(*) FROM replica_schema_notes"), "0");
    assert_eq!(shell.run("SELECT rowid FROM f WHERE f MATCH 'hello'"), "1");
    assert_sound(&db, &["s", "w", "g", "l", "v"].map(|t| if t == "v" { "s" } else { t }));
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn the_status_can_be_read_without_a_schema() {
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    assert_eq!(shell.run("SELECT replica_status() IS NULL"), "1");
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    shell.attach(&sqld.url());
    let status = shell.json("SELECT replica_status()");
    assert_eq!(status["state"], "idle");
    assert_eq!(status["frame_no"], sqld.frame_no());
}

/// States that a made-up primary goes through: each is a script for the
/// database before it.
fn states(folder: &Path, scripts: &[&str]) -> Vec<Frame> {
    let db = folder.join("primary.db");
    let mut frames: Vec<Frame> = Vec::new();
    for script in scripts {
        sql(&db, &format!("PRAGMA writable_schema=ON;\n{script};\n"));
        let bytes = std::fs::read(&db).expect("a database");
        let pages = bytes.len() / PAGE;
        for (at, image) in bytes.chunks(PAGE).enumerate() {
            let size_after = if at + 1 == pages { pages as u32 } else { 0 };
            let image = image.try_into().expect("a whole page");
            let number = frames.len() as u64;
            frames.push(Frame { number, page: at as u32 + 1, size_after, image });
        }
    }
    frames
}

const READABLE: &str = "CREATE TABLE t(x); INSERT INTO t VALUES (1)";
const LATER: &str = "INSERT INTO t VALUES (2)";

/// `name` gets a text that no SQLite reads, as a later one's would be to an
/// earlier one.
fn spoil(name: &str, sql: &str) -> String {
    format!("UPDATE sqlite_schema SET sql = {} WHERE name = '{name}'; {LATER}", quoted(sql))
}

#[test]
fn a_schema_that_cannot_be_read_is_named_and_the_last_readable_state_stays() {
    let (folder, db) = empty_place();
    let spoilt = format!("CREATE TABLE u(a); {}", spoil("u", "CREATE TABLE u(a) IN STYLE"));
    let frames = states(folder.path(), &[READABLE, &spoilt]);
    let first = frames.iter().position(|frame| frame.size_after != 0).expect("a commit");
    let before = serve("log", frames[..=first].to_vec(), first as u64);
    let mut shell = Shell::attached(&db, &before.url());
    let after = serve("log", frames.clone(), frames.len() as u64 - 1);
    shell.run("SELECT replica_detach()");
    let moved = "{\"new_primary\": true}";
    shell.json(&format!("SELECT replica_attach('{}', NULL, '{moved}')", after.url()));
    for _ in 0..2 {
        let error = shell.error("SELECT replica_sync()");
        assert!(error.contains("the schema of u cannot be read by this SQLite"), "{error}");
        assert!(
            error.contains("unknown table option: IN") || error.contains("near \"IN\""),
            "{error}"
        );
        assert_eq!(shell.run("SELECT group_concat(x) FROM t"), "1");
        let status = shell.json("SELECT replica_status()");
        assert!(status["last_error"].as_str().expect("a text").contains("the schema of u"));
    }
    // An empty file is not made unreadable by its first sync.
    let (_folder, other) = empty_place();
    let mut second = Shell::loaded(&other);
    let error = second.error(&format!("SELECT replica_attach('{}')", after.url()));
    assert!(error.contains("the schema of u cannot be read"), "{error}");
    assert_eq!(second.run("SELECT count(*) FROM sqlite_schema"), "0");
    // Who wants it all the same gets it, and is told where it can be told.
    shell.run("SELECT replica_detach()");
    let attach =
        format!("SELECT replica_attach('{}', NULL, '{{\"on_schema\":\"publish\"}}')", after.url());
    shell.json(&attach);
    shell.run("SELECT replica_sync()");
    assert!(shell.error("SELECT * FROM t").contains("malformed database schema (u)"));
    shell.run("SELECT replica_detach()");
    let status = shell.json(&attach);
    assert!(status["last_error"].as_str().expect("a text").contains("the schema of u"), "{status}");
}

#[test]
fn a_view_or_trigger_that_cannot_be_read_is_in_nobody_elses_way() {
    let (folder, db) = empty_place();
    let view = format!(
        "CREATE VIEW v AS SELECT x FROM t WHERE x > 0 ORDER BY x; {}",
        spoil("v", "CREATE VIEW v AS SELECT x FROM t NEWER KIND OF JOIN t")
    );
    let trigger = format!(
        "CREATE TRIGGER r AFTER UPDATE ON t BEGIN SELECT 1; SELECT 2; END; {}",
        spoil("r", "CREATE TRIGGER r AFTER UPDATE ON t BEGIN DO SOMETHING new.x; END")
    );
    let frames = states(folder.path(), &[READABLE, &view, &trigger]);
    let primary = serve("log", frames.clone(), frames.len() as u64 - 1);
    let mut shell = Shell::attached(&db, &primary.url());
    assert_eq!(shell.run("SELECT count(*) FROM t"), "3");
    assert!(shell.error("SELECT * FROM v").contains("no such table"));
    let notes = shell
        .run("SELECT group_concat(name || ' ' || type || rewritten) FROM replica_schema_notes");
    assert_eq!(notes, "v view1,r trigger1");
    assert_sound(&db, &["t"]);
}
