//! Puts the main database of a connection on `:memory:` onto the VFS `replica`.
//!
//! `sqlite3_deserialize` closes the main database and opens another one in its
//! place, by way of the VFS that is registered as `memdb` at that moment. Here
//! that is one of ours. Afterwards SQLite finds that the file is not its own
//! and returns an error, with the main database where it is wanted; so success
//! is looked for at the file. If a later SQLite goes another way, the main
//! database is empty as before, and the error names the way that always works.

use std::ffi::c_char;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::names;
use super::vfs::as_memdb;
use crate::error::{Error, Kind, Result};
use crate::host::api::{self, rc, sqlite, sqlite3};
use crate::host::{Connection, HostDb};

const MAIN: *const c_char = c"main".as_ptr();

/// What always works instead.
const REMEDY: &str = "open 'file:NAME?vfs=replica' instead";

/// First SQLite whose function table has `sqlite3_deserialize`.
const DESERIALIZE: (i32, &str) = (3_039_000, "3.39");

/// Pages of an empty database that are looked at: what tables that were
/// dropped have left.
const MOST_PAGES: i32 = 10_000;

/// The main database is on the VFS `replica` now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The schema cookie of the database before. Statements that were prepared
    /// there would take the same cookie here for their schema.
    pub cookie_before: u32,
}

/// Whether the main database is one of SQLite's own in memory that others may
/// have by its name.
pub fn is_memdb(host: HostDb) -> bool {
    !host.is_in_memory() && host.vfs_name().is_some_and(|name| name.as_bytes() == b"memdb")
}

/// Moves the empty main database of `host`, which is in memory or temporary,
/// to the database `share`, or to one of its own.
pub fn move_main(host: HostDb, share: Option<&str>) -> Result<Moved> {
    if is_memdb(host) {
        let name = host.main_path().map_or("NAME".into(), |path| path.display().to_string());
        return Err(Error::new(
            Kind::Local,
            format!(
                "the main database is on SQLite's VFS memdb, which others would go on using; open \
                 'file:{name}?vfs=replica' instead"
            ),
        ));
    }
    // SAFETY: no arguments.
    let version = unsafe { sqlite!(libversion_number()) };
    // The table of an older SQLite ends before this member.
    if version < DESERIALIZE.0 || api::routines().deserialize.is_none() {
        let cause = if version < DESERIALIZE.0 {
            format!("SQLite {} cannot open it anew, {} can", api::libversion(), DESERIALIZE.1)
        } else {
            "this SQLite was built without sqlite3_deserialize".to_owned()
        };
        return Err(cannot(&cause));
    }
    let db = host.handle();
    refuse_while_in_use(db)?;
    let cookie_before = look_at(db)?;
    if share.is_some() && cookie_before > 0 {
        // Its statements may know a schema with the cookie that the shared
        // database has, or comes to.
        return Err(Error::new(
            Kind::Misuse,
            "option share: this connection has had tables of its own; use it on a new connection",
        ));
    }
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let uri = match share {
        Some(name) => names::uri(name.as_bytes()),
        None => names::private(NEXT.fetch_add(1, Ordering::Relaxed)),
    };
    let code = open_in_place(host, &uri)?;
    if host.is_in_memory() {
        return Ok(Moved { cookie_before });
    }
    Err(match code {
        // SQLite itself looks from 3.41 on.
        Some(rc::BUSY) => Error::new(
            Kind::Busy,
            "a backup of the empty main database is under way; attach when it has ended",
        ),
        // An authorizer that denies ATTACH, for one.
        Some(_) => cannot("SQLite refused to open it anew"),
        None => cannot("this SQLite has no VFS memdb"),
    })
}

/// Opens a main database that nobody else can open by its name once more, so
/// that the connection forgets what it knows of it. Does nothing with another
/// one, nor while the connection is using it.
pub fn refresh(host: HostDb) {
    let store = host.store().filter(|store| store.is_private());
    if let Some(store) = store.filter(|_| refuse_while_in_use(host.handle()).is_ok()) {
        // In use after all, it is left as it is.
        let _ = open_in_place(host, store.uri());
    }
}

/// What SQLite says of opening the main database anew; None without memdb.
fn open_in_place(host: HostDb, uri: &[u8]) -> Result<Option<i32>> {
    let db = host.handle();
    let limit = host.page_limit();
    // To ask for the limit leaves a transaction open on the main database
    // while a statement reads another one.
    refuse_while_read(db)?;
    // SAFETY: an open connection whose main database nothing is using; no
    // bytes are handed over.
    let code =
        as_memdb(uri, || unsafe { sqlite!(deserialize(db, MAIN, ptr::null_mut(), 0, 0, 0)) });
    host.set_page_limit(limit);
    Ok(code)
}

fn cannot(cause: &str) -> Error {
    Error::new(Kind::Local, format!("the main database is in memory: {cause}; {REMEDY}"))
}

/// SQLite up to 3.40 would free the database under a statement that reads it.
fn refuse_while_in_use(db: *mut sqlite3) -> Result<()> {
    refuse_while_read(db)?;
    // SAFETY: an open connection, in a callback of its own thread.
    unsafe {
        let mut statement = sqlite!(next_stmt(db, ptr::null_mut()));
        while !statement.is_null() {
            if sqlite!(stmt_busy(statement)) != 0 && sqlite!(stmt_readonly(statement)) == 0 {
                return Err(Error::new(
                    Kind::Misuse,
                    "the call is part of a statement that writes; attach in a plain SELECT",
                ));
            }
            statement = sqlite!(next_stmt(db, statement));
        }
    }
    Ok(())
}

fn refuse_while_read(db: *mut sqlite3) -> Result<()> {
    // SAFETY: an open connection.
    if unsafe { sqlite!(txn_state(db, MAIN)) } == 0 {
        return Ok(());
    }
    Err(Error::new(
        Kind::Busy,
        "this connection is reading its empty database; attach in a statement of its own",
    ))
}

/// Refuses a main database that holds anything; its schema cookie.
fn look_at(db: *mut sqlite3) -> Result<u32> {
    let copy = Connection::open_in_memory()?;
    // A copy is looked at, because a statement on the host's own connection
    // would open a transaction where the host has begun one.
    // SAFETY: two open connections; the backup is finished below.
    let (code, pages) = unsafe {
        let backup = sqlite!(backup_init(copy.handle(), MAIN, db, MAIN));
        if backup.is_null() {
            return Err(copy.error("look at the main database", rc::ERROR));
        }
        sqlite!(backup_step(backup, 1));
        let pages = sqlite!(backup_pagecount(backup));
        if pages <= MOST_PAGES {
            sqlite!(backup_step(backup, -1));
        }
        (sqlite!(backup_finish(backup)), pages)
    };
    if code != rc::OK {
        return Err(copy.error("look at the main database", code));
    }
    let tables = copy.query("SELECT count(*) FROM main.sqlite_master")?.unwrap_or_default();
    if pages > MOST_PAGES || tables != "0" {
        return Err(Error::new(
            Kind::NotAllowed,
            ":memory: holds data and is not a replica: nothing was changed; attach an empty or \
             new database",
        ));
    }
    // Without a page it never had a schema; statements that were prepared for
    // one that was rolled back are prepared again.
    if pages == 0 { Ok(0) } else { schema_cookie(db) }
}

/// The one thing that a copy does not tell, asked of the host's connection.
/// That leaves no transaction open, or the move is refused.
fn schema_cookie(db: *mut sqlite3) -> Result<u32> {
    // SAFETY: an open connection, in a callback of its own thread; the
    // statement is finalized.
    let cookie = unsafe {
        if sqlite!(get_autocommit(db)) == 0 {
            return Err(Error::new(
                Kind::Busy,
                "this connection is in a transaction, and its database has had tables; attach \
                 outside of it",
            ));
        }
        let mut statement = ptr::null_mut();
        let sql = c"PRAGMA main.schema_version".as_ptr();
        let prepared = sqlite!(prepare_v2(db, sql, -1, &mut statement, ptr::null_mut()));
        let row = prepared == rc::OK && sqlite!(step(statement)) == rc::ROW;
        let cookie = row.then(|| sqlite!(column_int(statement, 0)));
        sqlite!(finalize(statement));
        cookie.ok_or_else(|| cannot("SQLite refused to tell the cookie of its schema"))?
    };
    refuse_while_read(db)?;
    Ok(cookie as u32)
}
