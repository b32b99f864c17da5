//! Transcripts: what the real sqlite3 shell prints for the statements of
//! `tests/sql/*.sql` is in the `.out` file beside each, errors with their exact
//! text and code. `UPDATE=1 make test` rewrites them; read the diff.
//!
//! `$URL` stands for a primary of the transcript's own, `$TOKENS` for one that
//! wants a token, `$NOBODY` for an address that nobody listens at.

mod common;

use std::path::Path;

use common::masking::masked;
use common::net::free_address;
use common::*;

#[test]
fn the_session_of_the_readme() {
    transcript("session");
}

#[test]
fn errors_have_these_texts_and_codes() {
    transcript("errors");
}

fn transcript(name: &str) {
    let folder = Path::new("tests/sql");
    let script = std::fs::read_to_string(folder.join(format!("{name}.sql"))).expect("a script");
    let expected = std::fs::read_to_string(folder.join(format!("{name}.out"))).unwrap_or_default();
    let found = run(&script);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(folder.join(format!("{name}.out")), found).expect("a writable file");
        return;
    }
    for (at, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(found, expected, "{name}.out line {}; UPDATE=1 accepts it", at + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{name}.out; UPDATE=1 accepts it");
}

fn run(script: &str) -> String {
    let primary = Sqld::start();
    primary.execute(
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT UNIQUE NOT NULL); \
         INSERT INTO orders VALUES (7, 'lantern')",
    );
    let with_tokens = Sqld::with_tokens();
    let nobody = format!("http://{}", free_address());
    let names = [
        ("$URL", primary.url()),
        ("$TOKENS", with_tokens.url()),
        ("$NOBODY", nobody),
        ("$EXTENSION", extension().display().to_string()),
    ];
    let (folder, db) = empty_place();
    let folder = folder.path().canonicalize().expect("a folder");
    let mut shell = Shell::plain(&db);
    let mut transcript = String::new();
    let mut statement = String::new();
    for line in script.lines() {
        if statement.is_empty() && (line.is_empty() || line.starts_with("--")) {
            transcript += &format!("{line}\n");
            continue;
        }
        statement += line;
        let in_literal = statement.matches('\'').count() % 2 == 1;
        if !line.starts_with('.') && (in_literal || !line.ends_with(';')) {
            statement.push('\n');
            continue;
        }
        transcript += &format!("{statement}\n");
        let mut real = statement.clone();
        for (name, value) in &names {
            real = real.replace(name, value);
        }
        let mut answer = shell.ask(real.trim_end_matches(';'));
        if let Some((text, code)) = shell::error_and_code(&answer) {
            answer = format!("error {code}: {text}");
        }
        for (name, value) in &names {
            answer = answer.replace(value.as_str(), name);
            // Errors name the host without the scheme.
            answer = answer.replace(value.trim_start_matches("http://"), name);
        }
        answer = masked(&answer.replace(&folder.display().to_string(), "$FOLDER"));
        if !answer.is_empty() {
            transcript += &format!("{answer}\n");
        }
        statement.clear();
    }
    transcript
}
