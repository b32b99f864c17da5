//! The local file as a replica: what it holds before we touch it, making an
//! empty one ours, the position it is at.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::{Checkpoints, SLICE};
use super::draft::{Draft, later_version, moved, no_replica_any_more};
use super::first_look::{Look, holds_data, is_claimed, look_at_bytes};
use super::schema_filter::SchemaFilter;
use super::size_limit::SizeLimit;
use super::spool::Spool;
use super::wal_index::{WRITE_LOCK, WalIndex};
use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::host::{Checkpoint, Connection, HostDb, fitness, lock_proof, memory, rights};
use crate::patience::Patience;
use crate::position::Position;
use crate::schema::tree::ReadPage;
use crate::units::{PAGE_SIZE, PageNo};
use crate::wal::frame;
use crate::wal::page1::{self, Owner, Stamp};

/// What a file holds before it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// No table and no data: it may become a replica.
    Nothing,
    /// A replica of ours.
    Replica,
}

/// A file that is a replica, or about to become one, with a connection of our
/// own on it.
pub struct ReplicaFile {
    pub(super) connection: Connection,
    path: PathBuf,
    /// Statements of the host's may know a schema with this cookie, or with
    /// an earlier one, that was never the replica's.
    cookie_before: u32,
    patience: Patience,
    /// The file was made a replica: it is in WAL mode, and its log is open.
    ready: Cell<bool>,
    checkpoints: Checkpoints,
    pub size_limit: SizeLimit,
    pub schema: SchemaFilter,
    pub keeps_log: Cell<bool>,
}

impl ReplicaFile {
    /// Looks at the main database of `host` and opens it once more. Refuses a
    /// file that holds somebody's data, without having changed a byte of it.
    ///
    /// A main database in memory, or a temporary one, is put onto a VFS where
    /// it can be a replica; `share` names it to the process' other connections.
    pub fn open(
        host: HostDb,
        share: Option<&str>,
        patience: Patience,
    ) -> Result<(ReplicaFile, Contents)> {
        let cookie_before = settle_in_memory(host, share)?;
        let main = host.main_file()?;
        let path = main.name_in_memory().map(PathBuf::from).or_else(|| host.main_path());
        let path = path.ok_or_else(|| Error::new(Kind::Local, "the main database has no name"))?;
        fitness::check_opening(host)?;
        if !host.is_in_memory() {
            lock_proof::check_only_name(&path)?;
        }
        if main.has_moved() {
            return Err(moved());
        }
        let look = look_at_bytes(host)?;
        if look == Look::Foreign {
            return Err(holds_data(&path));
        }
        let connection = Connection::open_beside(host)?;
        connection.set_busy_timeout(patience.timeout.min(SLICE));
        let file = ReplicaFile {
            connection,
            path,
            cookie_before,
            patience,
            ready: Cell::new(false),
            checkpoints: Checkpoints::default(),
            size_limit: SizeLimit::default(),
            schema: SchemaFilter::default(),
            keeps_log: Cell::default(),
        };
        let contents = match look {
            Look::Replica => file.look_at_log(),
            Look::Small | Look::Foreign => file.look_inside(),
        };
        let whose = |error: Error| match rights::made_by_another_user(&file.path) {
            Some(whose) if error.kind() == Kind::Local => error.and(&whose),
            _ => error,
        };
        let contents = contents.map_err(whose)?;
        // A SQLite may be built to sync nothing, and what our checkpoints copy
        // has to be on the disk before the log begins again. SQLite reads the
        // schema for this; where it cannot, a sync may still mend the file.
        let _ = file.patiently(|| file.connection.query("PRAGMA main.synchronous=NORMAL"));
        Ok((file, contents))
    }

    /// Where it is, as a person reads it: for a database in memory no path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database that it is if it is in memory.
    pub fn in_memory(&self) -> Option<Arc<memory::Store>> {
        self.connection.in_memory()
    }

    /// Whether the main database of `host` is this one still. One in memory can
    /// be exchanged under the connection (`sqlite3_deserialize`).
    pub fn is_main_of(&self, host: HostDb) -> bool {
        match (self.connection.in_memory(), host.store()) {
            (None, _) => true,
            (Some(own), Some(main)) => Arc::ptr_eq(&own, &main),
            (Some(_), None) => false,
        }
    }

    /// How long it waits for a local lock.
    pub fn lock_timeout(&self) -> Duration {
        self.patience.timeout
    }

    /// Whether somebody is in the middle of a change.
    pub fn is_being_written(&self) -> Result<bool> {
        let lock = self.connection.database_file()?.try_lock(WRITE_LOCK, 1)?;
        Ok(lock.is_none())
    }

    /// Begins a change. An empty file becomes a replica first.
    pub fn begin(&self) -> Result<Draft<'_>> {
        self.become_replica()?;
        Draft::begin(&self.connection, &self.patience)
    }

    /// Where pages wait that must not be in the file yet.
    pub fn spool(&self) -> Result<Spool> {
        Ok(Spool::new(self.connection.temporary_file()?))
    }

    /// Makes an empty file a replica that has never been synced: from here on
    /// no plain connection writes it.
    pub fn become_replica(&self) -> Result<()> {
        if self.ready.get() {
            return Ok(());
        }
        self.patiently(|| self.connection.query("PRAGMA main.page_size=4096"))?;
        fault::point("page size set");
        let mode = self.patiently(|| self.connection.query("PRAGMA main.journal_mode=WAL"));
        let mode = match mode {
            // Somebody was quicker, and SQLite may not write it any more.
            Err(_) if self.became_replica_meanwhile()? => "wal".to_owned(),
            mode => mode?.unwrap_or_default(),
        };
        fault::point("journal mode set");
        if mode != "wal" {
            return Err(Error::new(
                Kind::Local,
                format!("the file cannot be put into WAL mode: SQLite left it in mode {mode}"),
            ));
        }
        self.read_something()?;
        let transaction = Draft::begin_unstamped(&self.connection, &self.patience)?;
        // Somebody may have been quicker, with a stamp or with a table.
        match page1::owner(transaction.page_1()) {
            Owner::Replica(_) => drop(transaction),
            Owner::LaterVersion(version) => return Err(later_version(version)),
            Owner::Foreign if !page1::is_empty(transaction.page_1()) => {
                return Err(holds_data(&self.path));
            }
            Owner::Foreign if page1::is_claimed(transaction.page_1()) => {
                return Err(is_claimed(&self.path));
            }
            Owner::Foreign => {
                // With the cookie that a connection may have read the empty
                // schema with; of a database that stood here before, with one
                // that no statement knows.
                let cookie = match self.cookie_before {
                    0 => page1::schema_cookie(transaction.page_1()),
                    seen => seen.wrapping_add(1),
                };
                let mut page_1 = page1::empty(cookie);
                page1::patch(&mut page_1, &Stamp::default(), 1);
                transaction.publish(&page_1, 1, false)?;
            }
        }
        self.carry_stamp_over()?;
        self.ready.set(true);
        Ok(())
    }

    /// Whether the file is one that was empty at our first look at it.
    fn became_replica_meanwhile(&self) -> Result<bool> {
        let mut header = [0; 100];
        self.connection.database_file()?.read(&mut header, 0)?;
        if !page1::is_in_wal_mode(&header) {
            return Ok(false);
        }
        self.read_something()?;
        Ok(self.owner()? != Owner::Foreign)
    }

    /// The database file itself must carry the stamp before anything is
    /// written behind page 1, so that a look at its bytes tells what it is.
    fn carry_stamp_over(&self) -> Result<()> {
        let mut deadline = self.patience.deadline();
        loop {
            self.connection.checkpoint(Checkpoint::Passive)?;
            fault::point("stamp carried over");
            let mut header = [0; 100];
            self.connection.database_file()?.read(&mut header, 0)?;
            if matches!(page1::owner(&header), Owner::Replica(_)) {
                return Ok(());
            }
            if !deadline.pause()? {
                return Err(Error::new(
                    Kind::Busy,
                    "the empty database is being read by a connection that does not end its \
                     transaction; end it and try again",
                ));
            }
        }
    }

    /// Runs a statement of SQLite until it gets its locks. In SQLite itself
    /// each wait is a short one, because nobody can end it there.
    fn patiently<T>(&self, mut statement: impl FnMut() -> Result<T>) -> Result<T> {
        let deadline = self.patience.deadline();
        loop {
            match statement() {
                Err(error) if error.kind() == Kind::Busy && !deadline.left().is_zero() => {
                    self.patience.check()?;
                }
                done => return done,
            }
        }
    }

    fn read_something(&self) -> Result<()> {
        self.patiently(|| self.connection.read_something())
    }

    /// Where the file stands; None before the first sync.
    pub fn position(&self) -> Result<Option<Position>> {
        if !self.ready.get() {
            return Ok(None);
        }
        Ok(self.stamp()?.position)
    }

    /// How many pages readers see now; 0 where that cannot be told without a
    /// read.
    pub(super) fn size(&self) -> u32 {
        if !self.ready.get() {
            return 0;
        }
        let database = self.connection.database_file();
        let header = database.and_then(|database| WalIndex::new(database).header());
        header.ok().flatten().map_or(0, |header| header.pages)
    }

    /// Copies the log into the database if it has grown.
    pub fn checkpoint_if_due(&self) -> Result<()> {
        self.checkpoints.run_if_due(&self.connection, &self.patience)
    }

    /// Copies what readers allow of the log into the database.
    pub fn copy_log(&self) -> Result<()> {
        self.connection.checkpoint(Checkpoint::Passive).map(|_| ())
    }

    fn stamp(&self) -> Result<Stamp> {
        match self.owner()? {
            Owner::Replica(stamp) => Ok(stamp),
            Owner::LaterVersion(version) => Err(later_version(version)),
            Owner::Foreign => Err(no_replica_any_more()),
        }
    }

    /// What page 1 says that readers see now, without taking a lock: if the
    /// log changed while it was read, it is read again.
    fn owner(&self) -> Result<Owner> {
        self.header().map(|header| page1::owner(&header))
    }

    /// Whether it has no table: each has a page of its own.
    pub fn has_no_table(&self) -> Result<bool> {
        self.header().map(|header| page1::size(&header) <= 1)
    }

    /// The header of the database, as the last commit left it.
    pub(super) fn header(&self) -> Result<[u8; 100]> {
        let database = self.connection.database_file()?;
        let index = WalIndex::new(database);
        let mut page = [0; 100];
        for _ in 0..1000 {
            let Some(before) = index.header()? else {
                self.read_something()?;
                continue;
            };
            match index.find(PageNo::FIRST, before.max_frame)? {
                Some(number) => {
                    let at = frame::offset(number) + frame::HEADER_SIZE as u64;
                    self.connection.wal_file()?.read(&mut page, at)?;
                }
                None => database.read(&mut page, 0)?,
            }
            if index.header()? != Some(before) {
                continue;
            }
            return Ok(page);
        }
        Err(Error::new(Kind::Busy, "the local database changes too fast to be read; try again"))
    }

    /// What a query says that asks for names; nothing where it fails.
    pub fn names(&self, query: &str) -> String {
        self.connection.query(query).ok().flatten().unwrap_or_default()
    }

    /// Whether it leaves the log beside it for those who may not make one.
    pub fn keep_log(&self, keeps: bool) -> Result<()> {
        self.keeps_log.set(keeps);
        if keeps { self.connection.keep_log() } else { Ok(()) }
    }

    /// Whether this SQLite can read the file's schema.
    pub(super) fn reads_schema(&self) -> bool {
        self.connection.query("SELECT 1 FROM main.sqlite_master LIMIT 1").is_ok()
    }

    /// Looks at the pages that readers see now, without taking a lock: if the
    /// log changed meanwhile, once more. `look` gets the size of the database
    /// in pages and what reads a page.
    pub(super) fn look<T>(
        &self,
        look: &mut dyn FnMut(u32, ReadPage<'_>) -> Result<T>,
    ) -> Result<T> {
        let database = self.connection.database_file()?;
        let index = WalIndex::new(database);
        for _ in 0..1000 {
            let Some(before) = index.header()? else {
                self.read_something()?;
                continue;
            };
            let mut read = |page: PageNo| {
                let mut image = Box::new([0; PAGE_SIZE]);
                match index.find(page, before.max_frame)? {
                    Some(number) => {
                        let at = frame::offset(number) + frame::HEADER_SIZE as u64;
                        self.connection.wal_file()?.read(&mut image[..], at)?;
                    }
                    None => database.read(&mut image[..], page.offset())?,
                }
                Ok(image)
            };
            let size = match before.pages {
                0 => page1::size(&*read(PageNo::FIRST)?),
                pages => pages,
            };
            let found = look(size, &mut read);
            if index.header()? == Some(before) {
                return found;
            }
        }
        Err(Error::new(Kind::Busy, "the local database changes too fast to be read; try again"))
    }

    /// A file of at most one page may be an empty database, or a replica whose
    /// stamp is still in the log.
    fn look_inside(&self) -> Result<Contents> {
        let ask = |sql| self.patiently(|| self.connection.query(sql));
        let mode = ask("PRAGMA main.journal_mode")?.unwrap_or_default();
        if mode == "wal" {
            self.read_something()?;
            let index = WalIndex::new(self.connection.database_file()?);
            let frames = index.header()?.map_or(0, |header| header.max_frame);
            if frames > 0 && self.owner()? != Owner::Foreign {
                // Whoever made it a replica did not come to the end.
                self.become_replica()?;
                return Ok(Contents::Replica);
            }
        }
        let count = |sql| Ok::<_, Error>(ask(sql)?.unwrap_or_default());
        let pages = count("PRAGMA main.page_count")?;
        let tables = count("SELECT count(*) FROM main.sqlite_master")?;
        if tables != "0" || !matches!(pages.as_str(), "0" | "1") {
            return Err(holds_data(&self.path));
        }
        for mark in ["PRAGMA main.user_version", "PRAGMA main.application_id"] {
            if count(mark)? != "0" {
                return Err(is_claimed(&self.path));
            }
        }
        if pages == "1" && count("PRAGMA main.page_size")? != PAGE_SIZE.to_string() {
            return Err(Error::new(
                Kind::NotAllowed,
                "the empty database has another page size than 4096 bytes; delete the file and \
                 attach again",
            ));
        }
        Ok(Contents::Nothing)
    }

    /// The database file has a stamp; what the log says goes before it: it may
    /// have been promoted, or be the log of a later version.
    fn look_at_log(&self) -> Result<Contents> {
        self.read_something()?;
        self.connection.check_locks_at_first()?;
        if self.owner()? == Owner::Foreign {
            return self.look_inside();
        }
        self.stamp()?;
        self.ready.set(true);
        Ok(Contents::Replica)
    }
}

/// Puts a main database in memory where it can be a replica, unless it is
/// there; the schema cookie that it had before.
fn settle_in_memory(host: HostDb, share: Option<&str>) -> Result<u32> {
    let reopen = host.main_path().is_none() || memory::reopen::is_memdb(host);
    let mut cookie_before = 0;
    if reopen && !host.is_in_memory() {
        cookie_before = memory::reopen::move_main(host, share)?.cookie_before;
    } else if let Some(share) = share {
        if !host.main_file()?.is_named_in_memory(share) {
            return Err(Error::new(
                Kind::BadArgument,
                "option share: the main database is another one already; use it on a connection \
                 that was opened on ':memory:'",
            ));
        }
    }
    if host.is_in_memory() {
        host.refuse_exclusive()?;
    }
    Ok(cookie_before)
}
