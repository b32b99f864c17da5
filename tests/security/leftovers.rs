//! What is left of a token in the memory of the process: nothing of ours, once
//! it is detached. What others hold (an SQL text, the environment) is theirs.

use std::time::{Duration, Instant};

use crate::common::shell;
use crate::common::tokens::{FORGED, READ_ONLY, READ_WRITE};
use crate::common::*;

/// A piece of a token, so that a copy of half of it is seen, too.
fn piece(token: &str) -> &str {
    &token[token.len() - 40..]
}

/// The copies, after threads that end by themselves have had time to.
fn copies_left(shell: &Shell, token: &str, expected: usize) -> Option<usize> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let copies = shell.copies_in_memory(piece(token))?;
        if copies == expected || Instant::now() > deadline {
            return Some(copies);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Writes a token file without the token's being in this shell's SQL.
fn token_file(folder: &TempDir, url: &str, token: &str) -> String {
    let file = folder.path().join("token");
    super::tokens::secret(&file, &format!("{url}\n{token}\n"));
    file.display().to_string()
}

#[test]
fn nothing_of_a_token_is_left_after_a_detach() {
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE t(x)");
    for (options, works) in [("", true), (r#", "live": true"#, true), ("", false)] {
        let token = if works { READ_WRITE } else { FORGED };
        let (folder, db) = empty_place();
        let file = token_file(&folder, &sqld.url(), token);
        let mut shell = Shell::loaded(&db);
        let attach =
            format!(r#"SELECT replica_attach(NULL, NULL, '{{"token_file": "{file}"{options}}}')"#);
        if works {
            shell.run(&attach);
            shell.run("SELECT replica_write('INSERT INTO t VALUES (1)')");
            shell.run("SELECT replica_begin(); SELECT replica_write('DELETE FROM t')");
            shell.run("SELECT row FROM replica_query('SELECT 1')");
            shell.run("SELECT replica_commit()");
            shell.sync();
            let Some(copies) = shell.copies_in_memory(piece(token)) else {
                println!("skipped: the memory of a process cannot be read here");
                return;
            };
            println!("attached{options}: {copies} copies");
            assert!(copies > 0, "the token is not where this test looks for it");
            shell.run("SELECT replica_detach()");
        } else {
            assert!(shell.error(&attach).contains("refused"));
        }
        assert_eq!(copies_left(&shell, token, 0), Some(0), "{options} {works}");
    }
}

#[test]
fn a_token_that_was_replaced_is_gone() {
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE t(x)");
    let (folder, db) = empty_place();
    let file = token_file(&folder, &sqld.url(), READ_WRITE);
    let mut shell = Shell::loaded(&db);
    shell.run(&format!(r#"SELECT replica_attach(NULL, NULL, '{{"token_file": "{file}"}}')"#));
    shell.run(&format!("SELECT replica_set_token('{READ_ONLY}')"));
    shell.sync();
    match copies_left(&shell, READ_WRITE, 0) {
        None => println!("skipped: the memory of a process cannot be read here"),
        copies => assert_eq!(copies, Some(0)),
    }
}

/// The environment is the process's own: its one copy stays, and no other.
#[test]
fn of_a_token_in_the_environment_no_copy_is_left() {
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let url = sqld.url();
    let environment = [
        ("REPLICA_TOKEN", READ_WRITE),
        ("REPLICA_URL", url.as_str()),
        ("TURSO_DATABASE_URL", url.as_str()),
        ("TURSO_DB_REMOTE_ENCRYPTION_KEY", KEY),
    ];
    let mut shell = Shell::plain_with(&db, &environment);
    shell.run(shell::load().trim_end());
    let before = [READ_WRITE, KEY].map(|secret| shell.copies_in_memory(piece(secret)));
    shell.run("SELECT replica_attach()");
    shell.run("SELECT replica_write('INSERT INTO t VALUES (1)')");
    shell.run("SELECT replica_detach()");
    for (secret, before) in [READ_WRITE, KEY].into_iter().zip(before) {
        match before {
            None => println!("skipped: the memory of a process cannot be read here"),
            Some(before) => assert_eq!(copies_left(&shell, secret, before), Some(before)),
        }
    }
}

const KEY: &str = "b2YgYSBkYXRhYmFzZSB0aGF0IFR1cnNvIGtlZXBzIGVuY3J5cHRlZA";
