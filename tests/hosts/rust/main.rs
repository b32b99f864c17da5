//! Rust's rusqlite: story LIBRARY URL DATABASE

use rusqlite::{Connection, Error, LoadExtensionGuard, Result, ffi, params};
use serde_json::Value;

fn open_replica(library: &str, url: &str, path: &str, options: &str) -> Result<Connection> {
    let db = Connection::open(path)?;
    // SAFETY: the library is the extension, and keeps to SQLite's rules.
    unsafe {
        let _allowed = LoadExtensionGuard::new(&db)?;
        db.load_extension(library, None::<&str>)?;
    }
    db.query_row("SELECT replica_attach(?, NULL, ?)", params![url, options], |_| Ok(()))?;
    Ok(db)
}

/// Runs one statement on the primary; it is readable here afterwards.
fn write(db: &Connection, sql: &str, argument: &str) -> Result<Value> {
    let text: String =
        db.query_row("SELECT replica_write(?, ?)", [sql, argument], |row| row.get(0))?;
    Ok(serde_json::from_str(&text).expect("JSON"))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, url, database] = &arguments[..] else { panic!("story LIBRARY URL DATABASE") };
    let other = format!("{database}-other");
    const INSERT: &str = "INSERT INTO orders(item) VALUES (?)";
    let count = "SELECT count(*) FROM orders WHERE item = ?";

    let db = open_replica(library, url, database, "{}")?;
    let version: String = db.query_row("SELECT replica_version()", [], |row| row.get(0))?;
    println!("step: load {version} SQLite {}", rusqlite::version());
    let frame: i64 = db.query_row("SELECT frame_no FROM replica_status", [], |row| row.get(0))?;
    println!("step: attach {frame}");

    let item: String =
        db.query_row("SELECT item FROM orders WHERE id = ?", [7], |row| row.get(0))?;
    assert_eq!(item, "lantern");
    println!("step: read");

    assert_eq!(write(&db, INSERT, "kite")?["rows_affected"], 1);
    assert_eq!(db.query_row(count, ["kite"], |row| row.get::<_, u32>(0))?, 1);
    println!("step: write");

    let written = write(&db, "INSERT INTO orders(item) VALUES (?) RETURNING id", "drum")?;
    assert_eq!(written["rows"][0][0], 9);
    println!("step: returning");

    let error = write(&db, INSERT, "kite").unwrap_err();
    let Error::SqliteFailure(failure, _) = &error else { panic!("{error:?}") };
    assert_eq!(failure.extended_code, ffi::SQLITE_CONSTRAINT_UNIQUE);
    println!("step: constraint {error}");

    let error = db.execute("INSERT INTO orders(item) VALUES ('stray')", []).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::ReadOnly));
    println!("step: readonly {error}");

    let other = open_replica(library, url, &other, "{}")?;
    write(&other, INSERT, "rope")?;
    db.query_row("SELECT replica_sync()", [], |_| Ok(()))?;
    assert_eq!(db.query_row(count, ["rope"], |row| row.get::<_, u32>(0))?, 1);
    println!("step: sync");

    db.close().map_err(|(_, error)| error)?;
    let db = open_replica(library, url, database, r#"{"live": true}"#)?;
    let frame = write(&other, INSERT, "flute")?["frame_no"].as_i64();
    db.query_row("SELECT replica_wait(?, 10)", [frame], |_| Ok(()))?;
    assert_eq!(db.query_row(count, ["flute"], |row| row.get::<_, u32>(0))?, 1);
    println!("step: live");

    db.close().map_err(|(_, error)| error)?;
    other.close().map_err(|(_, error)| error)?;
    Ok(())
}
