//! Tests of the texts that are rewritten, and of those that must stay.

use super::*;

fn entry(kind: &str, sql: &str) -> Entry {
    Entry::made_up(kind, "x", sql)
}

fn stock(name: &str) -> bool {
    ["abs", "length", "lower", "count", "coalesce"].contains(&name.to_ascii_lowercase().as_str())
}

#[test]
fn what_only_the_primary_understands_is_said_in_as_many_bytes() {
    for (kind, sql, expected) in [
        ("table", "CREATE TABLE t(a,b) RANDOM ROWID", "CREATE TABLE t(a,b) /* random */"),
        (
            "table",
            "CREATE TABLE t(a TEXT) STRICT, random  rowid",
            "CREATE TABLE t(a TEXT) STRICT  /* random */ ",
        ),
        (
            "table",
            "CREATE TABLE t(a TEXT) RANDOM ROWID,STRICT",
            "CREATE TABLE t(a TEXT) /* random */ STRICT",
        ),
        (
            "index",
            "CREATE INDEX i ON t(libsql_vector_idx(e))",
            "CREATE INDEX i ON t(e) WHERE 0           ",
        ),
        (
            "index",
            "CREATE INDEX i ON t ( LIBSQL_VECTOR_IDX(\"e f\", 'metric=cosine', 'x=1') )",
            "CREATE INDEX i ON t ( \"e f\") WHERE 0/*replica:libsql_vector_idx*/       ",
        ),
        (
            "table",
            "CREATE TABLE t(a CHECK (abs(a)>0 AND vector_extract(a) IN ('x')), b)",
            "CREATE TABLE t(a CHECK (1/*replica:vector_extract*/            ), b)",
        ),
        ("table", "CREATE TABLE t(a,CHECK(f(a)))", "CREATE TABLE t(a,CHECK(1   ))"),
    ] {
        let new = rewrite(&entry(kind, sql), &stock);
        assert_eq!(new.as_deref(), Some(expected), "{sql}");
    }
}

#[test]
fn what_sqlite_understands_stays_as_it_is() {
    for (kind, sql) in [
        ("table", "CREATE TABLE random(rowid, random) STRICT"),
        ("table", "CREATE TABLE t(a DEFAULT ' RANDOM ROWID', b VARCHAR(20), c DECIMAL (1, 2))"),
        ("table", "CREATE TABLE t(a CHECK (abs(a) > (1)), b CHECK ((a) IN (1, 2)))"),
        ("table", "CREATE TABLE t(a REFERENCES u(a), UNIQUE (a), PRIMARY KEY (b))"),
        ("index", "CREATE INDEX i ON t(lower(a)) WHERE a IS NOT NULL"),
        ("index", "CREATE INDEX libsql_vector_idx ON t(a)"),
        ("view", "CREATE VIEW v AS SELECT 'RANDOM ROWID'"),
        ("trigger", "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT f(1); END"),
    ] {
        assert_eq!(rewrite(&entry(kind, sql), &stock), None, "{sql}");
        assert_eq!(notes(&entry(kind, sql), &stock), [], "{sql}");
    }
}

#[test]
fn notes_tell_what_was_rewritten_and_what_could_not_be() {
    for (kind, sql) in [
        ("table", "CREATE TABLE t(a,b) RANDOM ROWID"),
        ("index", "CREATE INDEX i ON t(libsql_vector_idx(embedding, 'metric=cosine'))"),
        ("table", "CREATE TABLE t(a CHECK (vector_extract(a) IS NOT NULL OR a IS NULL))"),
    ] {
        let new = rewrite(&entry(kind, sql), &stock).unwrap();
        let found = notes(&entry(kind, &new), &stock);
        assert_eq!(found.len(), 1, "{new}: {found:?}");
        assert!(found[0].rewritten, "{new}");
        assert_eq!(rewrite(&entry(kind, &new), &stock), None, "{new}");
    }
    for (kind, sql) in [
        ("index", "CREATE INDEX i ON t(vector_extract(a))"),
        ("index", "CREATE INDEX i ON t(a) WHERE vector_extract(a) IS NOT NULL"),
        ("table", "CREATE TABLE t(a, b AS (vector_extract(a)))"),
    ] {
        assert_eq!(rewrite(&entry(kind, sql), &stock), None, "{sql}");
        let found = notes(&entry(kind, sql), &stock);
        assert_eq!(found.len(), 1, "{sql}: {found:?}");
        assert!(!found[0].rewritten && found[0].text.contains("vector_extract()"), "{found:?}");
    }
}

#[test]
fn what_cannot_be_read_at_all_gets_something_in_its_place() {
    for (kind, sql, expected) in [
        (
            "view",
            "CREATE VIEW v(a) AS SELECT a NEW JOIN b NEW JOIN c NEW JOIN d NEW JOIN e",
            "CREATE VIEW v AS SELECT * FROM \"not in this SQLite's SQL\"               ",
        ),
        ("view", "CREATE VIEW v AS SELECT 1 NEW JOIN", "CREATE VIEW v AS SELECT*FROM\"?\"   "),
        (
            "trigger",
            "CREATE TRIGGER r INSTEAD OF DELETE ON \"a b\" BEGIN DO SOMETHING; END",
            "CREATE TRIGGER r INSTEAD OF INSERT ON \"a b\" BEGIN SELECT 1;END     ",
        ),
        ("table", "CREATE TABLE t(a ANY) STRICT", "CREATE TABLE t(a ANY) /*ST*/"),
        (
            "table",
            "CREATE TABLE t(a) WITHOUT ROWID,STRICT",
            "CREATE TABLE t(a) WITHOUT ROWID /*ST*/",
        ),
    ] {
        assert_eq!(give_up(&entry(kind, sql)).as_deref(), Some(expected), "{sql}");
    }
    for (kind, sql) in [("view", "CREATE VIEW v AS NEW"), ("table", "CREATE TABLE t(a) NEW")] {
        assert_eq!(give_up(&entry(kind, sql)), None, "{sql}");
    }
}
