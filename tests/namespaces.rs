//! A sqld with namespaces, found as libsql's client finds them: by the first
//! label of the host's name, by an option, or the default one.

mod common;

use common::*;

/// Databases `one` and `two` with a table of their own name, and the URL of a
/// host.
fn server() -> (Sqld, impl Fn(&str) -> String) {
    let sqld = Sqld::with_namespaces().at_localhost();
    for name in ["one", "two"] {
        sqld.create_namespace(name);
    }
    let port = sqld.address().port();
    (sqld, move |host: &str| format!("http://{host}:{port}"))
}

fn attached(url: &str, options: &str) -> (TempDir, std::path::PathBuf, Shell) {
    let (folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.json(&format!("SELECT replica_attach('{url}', NULL, '{options}')"));
    (folder, db, shell)
}

fn tables(shell: &mut Shell) -> String {
    shell.run("SELECT group_concat(name) FROM sqlite_schema")
}

#[test]
fn the_first_label_of_the_host_names_the_database_for_pulls_and_for_sql() {
    let (sqld, url) = server();
    let (_one, _, mut one) = attached(&url("one.localhost"), "{}");
    let (_two, _, mut two) = attached(&url("two.db.localhost"), r#"{"live": true}"#);
    for (shell, name) in [(&mut one, "one"), (&mut two, "two")] {
        let report = shell.json(&format!("SELECT replica_write('CREATE TABLE in_{name}(a)')"));
        assert_eq!(report["synced"], true, "{report}");
        assert_eq!(tables(shell), format!("in_{name}"));
        let there = sqld.query_in(Some(name), "SELECT name FROM sqlite_schema");
        assert_eq!(there[0][0]["value"], format!("in_{name}"));
    }
    assert_eq!(one.sync()["frames_synced"], 0);
}

#[test]
fn an_option_goes_before_the_name_of_the_host() {
    let (_sqld, url) = server();
    let (_one, _, mut one) = attached(&url("one.localhost"), r#"{"namespace": "two"}"#);
    one.json("SELECT replica_write('CREATE TABLE in_two(a)')");
    let (_two, _, mut two) = attached(&url("two.localhost"), "{}");
    assert_eq!(tables(&mut two), "in_two");
}

#[test]
fn a_host_of_one_label_is_the_default_database() {
    let (_sqld, url) = server();
    let (_folder, _, mut shell) = attached(&url("localhost"), "{}");
    let report = shell.json("SELECT replica_write('CREATE TABLE in_default(a)')");
    assert_eq!(report["synced"], true, "{report}");
    assert_eq!(tables(&mut shell), "in_default");
}

#[test]
fn an_address_names_no_database_and_the_error_says_what_does() {
    let (_sqld, url) = server();
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let error = shell.error(&format!("SELECT replica_attach('{}')", url("127.0.0.1")));
    assert!(error.contains("has several databases; name one with the option namespace"), "{error}");
    let error = shell.error(&format!("SELECT replica_attach('{}')", url("three.localhost")));
    assert!(error.contains("no such database"), "{error}");
}

/// A name with dots in front of a server without namespaces means nothing.
#[test]
fn without_namespaces_every_name_leads_to_the_only_database() {
    let sqld = Sqld::start().at_localhost();
    sqld.execute("CREATE TABLE t(a)");
    let port = sqld.address().port();
    for host in ["one.localhost", "localhost", "a.b.c.localhost"] {
        let (_folder, db, _shell) = attached(&format!("http://{host}:{port}"), "{}");
        assert_replica_equals_primary(&db, &sqld);
    }
}
