//! Is a replica what its primary is? Both sides are dumped row by row, with
//! types, and compared as text.
//!
//! The replica is read by a shell that never loaded the extension, the primary
//! in a way that has nothing to do with us either.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Server, sql};

/// One table or view: its rows as text, sorted.
pub type Dump = BTreeMap<String, Vec<String>>;

/// Fails unless every table and view of the replica holds what the primary's
/// holds, the schema is the same, and SQLite finds the file to be sound.
#[track_caller]
pub fn assert_replica_equals_primary(db: &Path, primary: &dyn Server) {
    let queries = dump_queries(db);
    let replica = dump_file(db);
    let primary = dump(&queries, |query| primary.column(query));
    assert_same(&primary, &replica);
    assert_eq!(sql(db, "PRAGMA integrity_check;"), "ok", "{}", db.display());
}

/// Fails unless the replica holds what this ordinary SQLite file holds.
#[track_caller]
pub fn assert_replica_equals_file(db: &Path, source: &Path) {
    assert_same(&dump_file(source), &dump_file(db));
    assert_eq!(sql(db, "PRAGMA integrity_check;"), "ok", "{}", db.display());
}

#[track_caller]
fn assert_same(primary: &Dump, replica: &Dump) {
    let names = |dump: &Dump| dump.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(primary), names(replica));
    for (table, expected) in primary {
        let found = &replica[table];
        let difference = expected.iter().zip(found).position(|(a, b)| a != b);
        let at = difference.unwrap_or_else(|| expected.len().min(found.len()));
        assert!(
            expected == found,
            "{table}: {} rows on the primary, {} here; the first that differs:\n{:.300}\n{:.300}",
            expected.len(),
            found.len(),
            expected.get(at).map_or("-", String::as_str),
            found.get(at).map_or("-", String::as_str),
        );
    }
}

/// The tables and views of a file as text, read by a plain shell.
pub fn dump_file(db: &Path) -> Dump {
    dump(&dump_queries(db), |query| {
        sql(db, &format!("{query};\n")).lines().map(str::to_owned).collect()
    })
}

fn dump(queries: &[(String, String)], mut run: impl FnMut(&str) -> Vec<String>) -> Dump {
    let mut dump = Dump::new();
    for (name, query) in queries {
        let mut rows = run(query);
        rows.sort();
        dump.insert(name.clone(), rows);
    }
    dump
}

/// For each table and view a query of one text column that shows a row whole.
fn dump_queries(db: &Path) -> Vec<(String, String)> {
    let schema = "SELECT hex(type || '|' || name || '|' || tbl_name || '|' || ifnull(rootpage, 'none') \
                  || '|' || ifnull(sql, '')) FROM sqlite_schema";
    let mut queries = vec![("sqlite_schema".to_owned(), schema.to_owned())];
    let columns = sql(
        db,
        "SELECT json_array(l.name, l.type, l.wr, x.name) FROM sqlite_schema s \
         JOIN pragma_table_list l ON l.schema = 'main' AND l.name = s.name \
         JOIN pragma_table_xinfo(l.name) x ON x.hidden <> 1 \
         WHERE s.type IN ('table', 'view') ORDER BY l.name, x.cid;\n",
    );
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in columns.lines() {
        let (table, kind, without_rowid, column): (String, String, u8, String) =
            serde_json::from_str(line).expect("four values");
        let list = tables.entry(table).or_insert_with(|| {
            let has_rowid = kind != "view" && without_rowid == 0;
            if has_rowid { vec![shown("rowid")] } else { Vec::new() }
        });
        list.push(shown(&format!("\"{}\"", column.replace('"', "\"\""))));
    }
    for (table, columns) in tables {
        let name = table.replace('"', "\"\"");
        queries.push((table, format!("SELECT {} FROM \"{name}\"", columns.join(" || ' ' || "))));
    }
    queries
}

/// A value as one word that tells its type. Numbers are printed with 15
/// digits, because versions of SQLite differ in the 16th.
fn shown(column: &str) -> String {
    format!(
        "typeof({column}) || ':' || CASE typeof({column}) WHEN 'real' THEN printf('%!.15g', {column}) \
         WHEN 'integer' THEN {column} WHEN 'null' THEN '' ELSE hex({column}) END"
    )
}
