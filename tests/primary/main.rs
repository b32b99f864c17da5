//! The client of a primary against a real sqld, without a local file: what a
//! pull delivers, what a write answers, and what each failure is called.

#[path = "../common/mod.rs"]
mod common;

mod failures;
mod pulls;
mod sql;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::net::{free_address, http_answer};
use common::{FakeServer, Sqld, assert_replica_equals_primary, empty_place, scalar, tokens};
use replica::change::{Change, Commit};
use replica::error::{Error, Kind, Result};
use replica::patience::Patience;
use replica::position::Position;
use replica::primary::{
    Begin, ConnectOptions, Endpoint, Executed, Next, Notebook, Notes, Primary, Statement, Tally,
    Until,
};
use replica::sqltext::value::Value;
use replica::units::{FrameNo, PageImage, PageNo};

/// Remembers nothing.
struct NoNotes;

impl Notebook for NoNotes {
    fn read(&self) -> Notes {
        Notes::default()
    }

    fn update(&self, _: &mut dyn FnMut(&mut Notes)) {}
}

fn primary_with(url: &str, token: Option<&str>, options: ConnectOptions) -> Arc<Primary> {
    let endpoint = Endpoint::parse(url).unwrap();
    let token = token.map(Into::into);
    Arc::new(Primary::new("sqld", endpoint, token, &options, Arc::new(NoNotes)).unwrap())
}

fn primary(url: &str) -> Arc<Primary> {
    primary_with(url, None, ConnectOptions::default())
}

fn patience(timeout: Duration) -> Patience {
    Patience { timeout, cancelled: Arc::new(|| false) }
}

fn some_patience() -> Patience {
    patience(Duration::from_secs(20))
}

fn statement(sql: &str, args: &[Value]) -> Statement {
    Statement { sql: sql.to_owned(), args: args.to_vec() }
}

fn execute(primary: &Primary, statements: &[Statement]) -> Result<Executed> {
    primary.sql(&some_patience())?.execute(statements, &some_patience())
}

fn write(primary: &Primary, sql: &str) -> Result<Executed> {
    execute(primary, &[statement(sql, &[])])
}

/// A replica in memory, which checks the order of what it is given.
#[derive(Default)]
struct Memory {
    pages: BTreeMap<u32, Box<PageImage>>,
    committed: Option<Commit>,
    commits: usize,
    calls: usize,
    /// Pages came after the last commit.
    open: bool,
    more: bool,
    fail_at_page: Option<usize>,
}

/// How a pull ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PullEnd {
    UpToDate,
    Diverged { empty: bool },
    CannotTell,
}

/// What a pull brought.
#[derive(Debug)]
struct Pulled {
    end: PullEnd,
    head: Option<u64>,
    frames: u64,
    bytes: u64,
    snapshot: bool,
}

impl Pulled {
    fn nothing(end: PullEnd) -> Pulled {
        Pulled { end, head: None, frames: 0, bytes: 0, snapshot: false }
    }
}

impl Memory {
    fn take(&mut self, change: Change<'_>) -> Result<()> {
        match change {
            Change::Page(page, image) => self.page(page, image),
            Change::Commit { position, size, more } => {
                self.commit(Commit { position, size }, more);
                Ok(())
            }
        }
    }

    fn page(&mut self, page: PageNo, image: &PageImage) -> Result<()> {
        assert!(self.calls == 0 || self.more || self.open || self.commits == 0);
        self.calls += 1;
        if self.fail_at_page == Some(self.calls) {
            return Err(Error::new(Kind::Unavailable, "the disk is full"));
        }
        self.open = true;
        self.pages.insert(page.0, Box::new(*image));
        Ok(())
    }

    fn commit(&mut self, commit: Commit, more: bool) {
        assert!(self.open, "a commit without pages");
        self.open = false;
        self.more = more;
        self.committed = Some(commit);
        self.commits += 1;
        self.pages.retain(|page, _| *page <= commit.size);
    }
}

impl Memory {
    fn position(&self) -> Option<Position> {
        self.committed.map(|commit| commit.position)
    }

    fn pull(&mut self, primary: &Arc<Primary>) -> Result<Pulled> {
        self.pull_patiently(primary, &some_patience())
    }

    fn pull_patiently(&mut self, primary: &Arc<Primary>, patience: &Patience) -> Result<Pulled> {
        self.commits = 0;
        self.calls = 0;
        let mut feed = match primary.open(self.position(), Until::Head, patience)? {
            Begin::Feed(feed) => feed,
            Begin::Diverged { empty } => return Ok(Pulled::nothing(PullEnd::Diverged { empty })),
            Begin::CannotTell => return Ok(Pulled::nothing(PullEnd::CannotTell)),
            Begin::NoStream | Begin::HeldBack => panic!("no stream was asked for"),
        };
        loop {
            match feed.next(patience)? {
                Next::Change(change) => self.take(change)?,
                Next::Idle => panic!("a pull is never idle"),
                Next::End => break,
            }
        }
        assert!(!self.open && (self.commits == 0 || !self.more), "ends with a last commit");
        let Tally { head, frames, bytes, snapshot, .. } = feed.tally();
        Ok(Pulled { end: PullEnd::UpToDate, head, frames, bytes, snapshot })
    }

    fn write_to(&self, db: &Path) {
        let size = self.committed.unwrap().size as usize;
        assert_eq!(self.pages.len(), size, "every page of the database came");
        let bytes: Vec<u8> = self.pages.values().flat_map(|page| page.iter().copied()).collect();
        std::fs::write(db, bytes).unwrap();
    }

    fn assert_equals(&self, sqld: &Sqld) {
        let (_folder, db) = empty_place();
        self.write_to(&db);
        assert_replica_equals_primary(&db, sqld);
    }
}

const FILL: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO t(b) SELECT hex(randomblob(500)) FROM n";

fn table(sqld: &Sqld) {
    sqld.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
}
