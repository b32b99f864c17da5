//! A primary whose protocol is found out: by asking, once, and then by what
//! the notes remember.
//!
//! Nobody is asked before something is wanted of the primary, so that an
//! existing replica attaches without a network. A server that was exchanged
//! for one of the other kind is noticed by the first pull that fails.

use std::sync::Arc;

use parking_lot::Mutex;

use super::link::Link;
use super::{
    Begin, Executed, Mode, Notebook, Notes, Pages, Primary, RemoteTransaction, Sqld, Turso, Until,
};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::position::Position;
use crate::sqltext::statement::{Rows, Statement};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Sqld,
    Turso,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Which::Sqld => "sqld",
            Which::Turso => "turso",
        }
    }
}

/// What is known of the protocol.
#[derive(Clone, Copy)]
struct Known {
    which: Which,
    /// It was spoken in this process, and not only remembered.
    seen: bool,
}

pub struct Auto {
    /// Of both.
    link: Arc<Link>,
    sqld: Arc<Sqld>,
    turso: Arc<Turso>,
    notebook: Arc<dyn Notebook>,
    known: Mutex<Option<Known>>,
}

impl Auto {
    pub fn new(link: Arc<Link>, notebook: Arc<dyn Notebook>) -> Auto {
        let known = match notebook.read().protocol.as_deref() {
            Some("sqld") => Some(Which::Sqld),
            Some("turso") => Some(Which::Turso),
            _ => None,
        };
        Auto {
            sqld: Arc::new(Sqld::new(link.clone())),
            turso: Arc::new(Turso::new(link.clone(), notebook.clone())),
            link,
            notebook,
            known: Mutex::new(known.map(|which| Known { which, seen: false })),
        }
    }

    fn of(&self, which: Which) -> Arc<dyn Primary> {
        match which {
            Which::Sqld => self.sqld.clone(),
            Which::Turso => self.turso.clone(),
        }
    }

    fn known(&self) -> Option<Known> {
        *self.known.lock()
    }

    /// The primary in its protocol, which is asked for if nobody knows it.
    fn primary(&self, patience: &Patience) -> Result<Arc<dyn Primary>> {
        let which = match self.known() {
            Some(known) => known.which,
            None => self.ask(patience)?,
        };
        Ok(self.of(which))
    }

    /// The primary for SQL. What a pull needs may be out of order without being
    /// in the way of a write, which is then sent in sqld's way: a server that
    /// does not know it answers 404 and has done nothing.
    fn primary_for_sql(&self, patience: &Patience) -> Result<Arc<dyn Primary>> {
        match self.primary(patience) {
            Err(error) if error.kind() == Kind::Unavailable => Ok(self.of(Which::Sqld)),
            other => other,
        }
    }

    /// Asks the server which protocol it speaks. A refusal that both give
    /// comes from sqld's; trouble with the network from the first.
    fn ask(&self, patience: &Patience) -> Result<Which> {
        let which = match self.sqld.greet(patience) {
            Ok(()) => Which::Sqld,
            Err(error) if error.kind() == Kind::Protocol => {
                self.turso.greet(patience).map_err(|other| more_telling(error, other))?;
                Which::Turso
            }
            Err(error) => return Err(error),
        };
        self.note(which);
        Ok(which)
    }

    fn note(&self, which: Which) {
        let before = self.known.lock().replace(Known { which, seen: true });
        if before.is_some_and(|before| before.which == which) {
            return;
        }
        self.notebook.update(&mut |notes| {
            // Attach writes the first notes; until then there is nothing to
            // change.
            if *notes != Notes::default() {
                notes.protocol = Some(which.name().to_owned());
            }
        });
    }
}

/// Of what the two protocols say against a server, what helps more.
fn more_telling(sqld: Error, turso: Error) -> Error {
    if turso.kind() == Kind::Protocol { sqld } else { turso }
}

impl Pages for Auto {
    fn open(
        self: Arc<Self>,
        from: Option<Position>,
        until: Until,
        patience: &Patience,
    ) -> Result<Begin> {
        let begun = self.primary(patience)?.open(from, until, patience);
        match (begun, self.known()) {
            // A server that was exchanged for one of the other kind.
            (Err(error), Some(Known { which, seen: false })) if error.kind() == Kind::Protocol => {
                match self.ask(patience) {
                    Ok(found) if found != which => self.of(found).open(from, until, patience),
                    _ => Err(error),
                }
            }
            (Ok(Begin::Feed(feed)), Some(known)) => {
                // Some feeds begin without asking anybody.
                if feed.tally().bytes > 0 {
                    *self.known.lock() = Some(Known { seen: true, ..known });
                }
                Ok(Begin::Feed(feed))
            }
            (begun, _) => begun,
        }
    }
}

impl Primary for Auto {
    fn protocol(&self) -> &'static str {
        self.known().map_or("auto", |known| known.which.name())
    }

    fn history(&self) -> Option<String> {
        self.of(self.known()?.which).history()
    }

    fn set_token(&self, token: Option<String>) {
        self.link.set_token(token);
    }

    fn execute(&self, statements: &[Statement], patience: &Patience) -> Result<Executed> {
        self.primary_for_sql(patience)?.execute(statements, patience)
    }

    fn execute_rows(&self, rows: Rows<'_>, patience: &Patience) -> Result<Executed> {
        self.primary_for_sql(patience)?.execute_rows(rows, patience)
    }

    fn query(&self, statement: &Statement, patience: &Patience) -> Result<Executed> {
        self.primary_for_sql(patience)?.query(statement, patience)
    }

    fn begin(
        self: Arc<Self>,
        mode: Mode,
        patience: &Patience,
    ) -> Result<Box<dyn RemoteTransaction>> {
        self.primary_for_sql(patience)?.begin(mode, patience)
    }
}
