//! The pages say what the code says. `UPDATE=1` writes their tables anew.

use std::collections::BTreeSet;

use super::*;
use crate::surface::functions;

/// The rows below the line `| head` of a page, up to the next line that is none.
fn compare(page: &str, head: &str, rows: &[String]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(&path).expect("a page");
    let (before, rest) = text.split_once(head).unwrap_or_else(|| panic!("{page}: no {head}"));
    let end = rest.find("\n\n").expect("an end of the table") + 1;
    let wanted = rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{head}{wanted}{}", &rest[end..])).expect("written");
    } else {
        assert_eq!(&rest[..end], wanted, "{page}: UPDATE=1 writes it anew");
    }
}

fn of_columns(table: &str) -> Vec<String> {
    let (_, columns) = TABLES.iter().find(|(name, _)| *name == table).expect("a table");
    columns().iter().map(|column| format!("| `{}` | {} |", column.name, column.help)).collect()
}

/// One after another, because all of them may write the same page.
#[test]
fn the_tables_of_the_pages_are_these() {
    let functions: Vec<String> =
        NAMES.iter().map(|name| format!("| `{}` | {} |", name.shape, name.help)).collect();
    compare("docs/reference.md", "| SQL | result |\n|---|---|\n", &functions);
    compare(
        "docs/reference.md",
        "## Columns of `replica_status`\n\n| column | |\n|---|---|\n",
        &of_columns("replica_status"),
    );
    compare(
        "docs/reference.md",
        "## Columns of `replica_health`\n\n| column | |\n|---|---|\n",
        &of_columns("replica_health"),
    );
    let others: Vec<String> = TABLES
        .iter()
        .filter(|(table, _)| !["replica_status", "replica_health"].contains(table))
        .flat_map(|(table, columns)| {
            let row = move |column: &'static Column| {
                format!("| `{table}` | `{}` | {} |", column.name, column.help)
            };
            columns().into_iter().map(row)
        })
        .collect();
    compare("docs/reference.md", "| table | column | |\n|---|---|---|\n", &others);
    let options: Vec<String> = options::ATTACH
        .iter()
        .map(|option| format!("| `{}` | {} | {} |", option.name, option.default, option.help))
        .collect();
    compare("docs/reference.md", "| option | default | meaning |\n|---|---|---|\n", &options);
}

#[test]
fn each_function_is_told_of_and_no_other() {
    let told: BTreeSet<&str> =
        NAMES.iter().filter(|name| name.kind == "function").map(Name::name).collect();
    // A table that is called as a function answers with an error.
    let tables = [
        "replica_outbox",
        "replica_pending",
        "replica_query",
        "replica_schema_notes",
        "replica_sync_progress",
    ];
    let known: BTreeSet<&str> = functions::ALL
        .iter()
        .map(|function| function.name)
        .filter(|name| !tables.contains(name))
        .collect();
    assert_eq!(told, known);
}

#[test]
fn a_terminal_sees_no_markdown() {
    assert_eq!(plain("the row: [its columns](#columns) of `a`"), "the row: its columns of a");
    assert_eq!(plain("f([a [, b]]) is [x](y)"), "f([a [, b]]) is x");
    for row in rows() {
        let Output::Text(text) = &row[3] else { panic!("a text") };
        assert!(!text.contains('`') && !text.contains("](") && !text.contains('\n'), "{text}");
    }
}
