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
use crate::sqltext::statement::{Description, Rows, Statement};

/// A protocol that a primary may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Sqld,
    Turso,
}

/// One row each: its name in options and notes, and whether a server at Turso
/// is rather asked in it first.
const PROTOCOLS: [(Protocol, &str, bool); 2] =
    [(Protocol::Sqld, "sqld", false), (Protocol::Turso, "turso", true)];

impl Protocol {
    pub fn name(self) -> &'static str {
        PROTOCOLS.iter().find(|(protocol, ..)| *protocol == self).map_or("", |(_, name, _)| name)
    }

    pub fn named(name: &str) -> Option<Protocol> {
        PROTOCOLS.iter().find(|(_, known, _)| *known == name).map(|(protocol, ..)| *protocol)
    }
}

/// What is known of the protocol.
#[derive(Clone, Copy)]
struct Known {
    which: Protocol,
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
        let known = notebook.read().protocol.as_deref().and_then(Protocol::named);
        Auto {
            sqld: Arc::new(Sqld::new(link.clone())),
            turso: Arc::new(Turso::new(link.clone(), notebook.clone())),
            link,
            notebook,
            known: Mutex::new(known.map(|which| Known { which, seen: false })),
        }
    }

    fn of(&self, which: Protocol) -> Arc<dyn Primary> {
        match which {
            Protocol::Sqld => self.sqld.clone(),
            Protocol::Turso => self.turso.clone(),
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
            Err(error) if error.kind() == Kind::Unavailable => Ok(self.of(Protocol::Sqld)),
            other => other,
        }
    }

    /// The protocols in the order that a server is likely to know them. Turso
    /// Cloud speaks its own, and sqld's only where a database is old.
    fn order(&self) -> [Protocol; 2] {
        let at_turso = self.sqld.is_metered();
        let mut order = PROTOCOLS;
        order.sort_by_key(|(_, _, first_at_turso)| *first_at_turso != at_turso);
        order.map(|(protocol, ..)| protocol)
    }

    /// Asks the server which protocol it speaks.
    fn ask(&self, patience: &Patience) -> Result<Protocol> {
        let found = self.first_that(|protocol| match protocol {
            Protocol::Sqld => self.sqld.greet(patience),
            Protocol::Turso => self.turso.greet(patience),
        });
        found.map(|(protocol, ())| protocol)
    }

    /// The first protocol in which the server does not turn out to be a
    /// stranger, and what came of that. A refusal that both give comes from
    /// sqld's; trouble with the network from the first.
    fn first_that<T>(&self, work: impl Fn(Protocol) -> Result<T>) -> Result<(Protocol, T)> {
        let mut strange = None;
        for protocol in self.order() {
            match work(protocol) {
                Ok(done) => {
                    self.note(protocol);
                    return Ok((protocol, done));
                }
                // It understood the request, and has a reason of its own.
                Err(error) if protocol == Protocol::Turso && self.turso.has_answered() => {
                    return Err(error);
                }
                Err(error) if error.kind() == Kind::Protocol => match (protocol, &strange) {
                    (Protocol::Turso, Some(_)) => {}
                    _ => strange = Some(error),
                },
                Err(error) => return Err(error),
            }
        }
        Err(strange.unwrap_or_else(|| Error::new(Kind::Protocol, "no protocol is known")))
    }

    /// Opens the feed of a server that nobody knows: everything there is is
    /// also the question, so nothing is asked twice.
    fn open_unknown(&self, until: Until, patience: &Patience) -> Result<Begin> {
        self.first_that(|protocol| self.of(protocol).open(None, until, patience))
            .map(|(_, begin)| begin)
    }

    fn note(&self, which: Protocol) {
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

impl Pages for Auto {
    fn open(
        self: Arc<Self>,
        from: Option<Position>,
        until: Until,
        patience: &Patience,
    ) -> Result<Begin> {
        if from.is_none() && until == Until::Head && self.known().is_none() {
            return self.open_unknown(until, patience);
        }
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

    fn sequence(&self, statements: &[Statement], patience: &Patience) -> Result<Executed> {
        self.primary_for_sql(patience)?.sequence(statements, patience)
    }

    fn describe(&self, sql: &str, patience: &Patience) -> Result<Description> {
        self.primary_for_sql(patience)?.describe(sql, patience)
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
