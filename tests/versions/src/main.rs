//! A host with the SQLite that it was built with: LIBRARY URL DATABASE. Tells
//! the main story in plain C calls and prints the version. DATABASE is a path,
//! a URI or `:memory:`.

use libsqlite3_sys as ffi;
use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int};
use std::ptr;

struct Db(*mut ffi::sqlite3);

impl Db {
    fn open(path: &str) -> Db {
        let (path, mut db) = (CString::new(path).unwrap(), ptr::null_mut());
        let flags = ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE | ffi::SQLITE_OPEN_URI;
        let code = unsafe { ffi::sqlite3_open_v2(path.as_ptr(), &mut db, flags, ptr::null()) };
        assert_eq!(code, 0, "open");
        unsafe { ffi::sqlite3_busy_timeout(db, 5000) };
        Db(db)
    }

    fn load(&self, library: &str) -> Result<(), String> {
        let library = CString::new(library).unwrap();
        let mut message: *mut c_char = ptr::null_mut();
        unsafe {
            ffi::sqlite3_enable_load_extension(self.0, 1);
            let code = ffi::sqlite3_load_extension(self.0, library.as_ptr(), ptr::null(), &mut message);
            match code {
                0 => Ok(()),
                _ => Err(CStr::from_ptr(message).to_string_lossy().into_owned()),
            }
        }
    }

    /// All rows, columns joined by `|`, or the error.
    fn ask(&self, sql: &str) -> Result<Vec<String>, String> {
        let sql = CString::new(sql).unwrap();
        unsafe extern "C" fn row(
            rows: *mut std::os::raw::c_void,
            count: c_int,
            values: *mut *mut c_char,
            _: *mut *mut c_char,
        ) -> c_int {
            let text = |i: isize| {
                let value = *values.offset(i);
                if value.is_null() { String::new() } else { CStr::from_ptr(value).to_string_lossy().into_owned() }
            };
            let row = (0..count as isize).map(text).collect::<Vec<_>>().join("|");
            (*rows.cast::<Vec<String>>()).push(row);
            0
        }
        let (mut rows, mut message): (Vec<String>, _) = (Vec::new(), ptr::null_mut());
        let place: *mut Vec<String> = &mut rows;
        let code = unsafe { ffi::sqlite3_exec(self.0, sql.as_ptr(), Some(row), place.cast(), &mut message) };
        match code {
            0 => Ok(rows),
            code => Err(format!("{} ({code})", unsafe { CStr::from_ptr(message) }.to_string_lossy())),
        }
    }

    fn one(&self, sql: &str) -> String {
        let rows = self.ask(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.into_iter().next().unwrap()
    }

    fn error(&self, sql: &str) -> String {
        self.ask(sql).expect_err(sql)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        assert_eq!(unsafe { ffi::sqlite3_close(self.0) }, 0, "close");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (library, url, path) = (&args[1], &args[2], &args[3]);
    let version = unsafe { CStr::from_ptr(ffi::sqlite3_libversion()) }.to_string_lossy().into_owned();
    // The VFS of replicas in memory is there from the first load on.
    if let Err(refused) = Db::open(":memory:").load(library) {
        println!("SQLite {version}: refused: {refused}");
        return;
    }
    let db = Db::open(path);
    db.load(library).expect("it was loaded before");
    let shown = if path.starts_with('/') { "a file" } else { path };
    if path != ":memory:" {
        story(&db, url, path);
    } else if unsafe { ffi::sqlite3_libversion_number() } < 3_039_000 {
        refusal(&db, url, &version);
        return println!("SQLite {version}, {shown}: refused");
    } else {
        private(&db, url);
    }
    println!("SQLite {version}, {shown}: ok");
}

/// `:memory:` where SQLite cannot open it anew: it stays what it was.
fn refusal(db: &Db, url: &str, version: &str) {
    let error = db.error(&format!("SELECT replica_attach('{url}', NULL)"));
    let expected = format!(
        "replica_attach: the main database is in memory: SQLite {version} cannot open it anew, \
         3.39 can; open 'file:NAME?vfs=replica' instead (1)"
    );
    assert_eq!(error, expected);
    db.ask("CREATE TABLE mine(x); INSERT INTO mine VALUES (1)").unwrap();
    assert_eq!(db.one("SELECT count(*) FROM mine"), "1");
}

/// A replica that only its own connection sees.
fn private(db: &Db, url: &str) {
    // SQLite's own check of what is using the database came after 3.40.
    let read = db.error(&format!("SELECT replica_attach('{url}') FROM pragma_user_version"));
    assert!(read.contains("this connection is reading its empty database"), "{read}");
    db.one(&format!("SELECT replica_attach('{url}', NULL)"));
    assert_eq!(db.one("SELECT count(*), sum(length(b)) FROM t"), "500|350000");
    for round in 0..10 {
        db.one("SELECT replica_write('UPDATE t SET b = randomblob(900)')");
        db.ask("BEGIN; SELECT count(*) FROM t").unwrap();
        db.one("SELECT replica_write('INSERT INTO t(v) VALUES (1)')");
        assert_eq!(db.one("SELECT count(*) FROM t"), (500 + round).to_string());
        db.ask("COMMIT").unwrap();
        assert_eq!(db.one("PRAGMA integrity_check"), "ok");
    }
    assert!(db.error("DELETE FROM t").contains("attempt to write a readonly database"));
    assert_eq!(db.one("SELECT row FROM replica_query('SELECT count(*) FROM t')"), "[510]");
    assert!(db.one("SELECT replica_promote()").contains("\"promoted\":true"));
    db.ask("DELETE FROM t WHERE id > 1; CREATE TABLE mine(x)").unwrap();
    assert_eq!(db.one("PRAGMA integrity_check"), "ok");
}

fn story(db: &Db, url: &str, path: &str) {
    let plain = Db::open(path);
    let status = db.one(&format!("SELECT replica_attach('{url}', NULL)"));
    assert!(status.contains("\"frame_no\""), "{status}");
    assert_eq!(plain.one("SELECT count(*), sum(length(b)) FROM t"), "500|350000");

    // Writes, reads, errors, the tables, an aggregate, a transaction.
    let written = db.one("SELECT replica_write('INSERT INTO t(v, b) VALUES (?, ?)', 'new', x'00')");
    assert!(written.contains("\"synced\":true"), "{written}");
    assert_eq!(plain.one("SELECT v FROM t WHERE id = 501"), "new");
    assert!(db.error("DELETE FROM t").contains("attempt to write a readonly database"));
    assert!(plain.error("DELETE FROM t").contains("attempt to write a readonly database"));
    let refused = db.error("SELECT replica_write('INSERT INTO t(id) VALUES (1)')");
    assert!(refused.contains("UNIQUE constraint failed: t.id"), "{refused}");
    assert_eq!(db.one("SELECT path <> '' FROM replica_status"), "1");
    assert_eq!(db.one("SELECT row FROM replica_query('SELECT count(*) FROM t')"), "[501]");
    let batch = "SELECT replica_batch('INSERT INTO t(v) VALUES (?)', v) FROM t WHERE id <= 20";
    let batched = db.ask(batch);
    println!("  batch: {batched:?}");
    assert!(batched.is_ok() || format!("{batched:?}").contains("call replica_write() for each row"));
    db.one("SELECT replica_begin('immediate')");
    db.one("SELECT replica_write('UPDATE t SET b = randomblob(2000) WHERE id <= 300')");
    db.one("SELECT replica_commit()");
    assert_eq!(plain.one("SELECT sum(length(b)) > 600000 FROM t"), "1");

    // Grow, shrink, checkpoint, restart the log, with a reader in between.
    for round in 0..30 {
        let insert = "INSERT INTO t(v, b) SELECT v, randomblob(3000) FROM t WHERE id <= 40";
        let delete = "DELETE FROM t WHERE id > 600";
        let sql = if round % 3 == 2 { delete } else { insert };
        plain.ask("BEGIN; SELECT count(*) FROM t").unwrap();
        db.one(&format!("SELECT replica_write('{sql}')"));
        assert_eq!(plain.one("PRAGMA integrity_check"), "ok");
        plain.ask("COMMIT").unwrap();
        assert_eq!(plain.one("PRAGMA integrity_check"), "ok");
        if round % 4 == 0 {
            plain.one("PRAGMA wal_checkpoint(PASSIVE)");
        } else if round % 7 == 0 {
            plain.one("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        let here = plain.one("SELECT count(*), max(id) FROM t").replace('|', ",");
        let there = db.one("SELECT row FROM replica_query('SELECT count(*), max(id) FROM t')");
        assert_eq!(format!("[{here}]"), there);
    }

    // An ordinary database again.
    assert!(db.one("SELECT replica_promote()").contains("\"promoted\":true"));
    let again = Db::open(path);
    again.ask("DELETE FROM t WHERE id > 1; CREATE TABLE mine(x)").unwrap();
    assert_eq!(again.one("SELECT count(*) FROM t"), "1");
    assert_eq!(again.one("PRAGMA integrity_check"), "ok");
}
