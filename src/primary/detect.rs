//! A primary, and in which protocol it is spoken to: as the options say, as the
//! notes remember, or as is found out by asking, once.
//!
//! Nobody is asked before something is wanted of the primary, so that an
//! existing replica attaches without a network. A server that was exchanged
//! for one of the other kind is noticed by the first pull that fails.

use std::sync::Arc;

use parking_lot::Mutex;

use super::link::Link;
use super::pages::sqld::Sqld;
use super::pages::turso::Turso;
use super::pages::{Begin, Pages, Until};
use super::sql::{Sql, dialect};
use super::{ConnectOptions, Endpoint, Notebook, Notes};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::position::Position;
use crate::secret::Secret;

/// A protocol that a primary may speak.
struct Protocol {
    /// In options, status and notes.
    name: &'static str,
    /// A server at Turso is rather asked in it first: Turso Cloud speaks its
    /// own, and sqld's only where a database is old.
    is_of_turso: bool,
    speak: fn(&Arc<Link>, &Arc<dyn Notebook>) -> Spoken,
}

/// The two ways between here and a server: pages come down, SQL goes up.
struct Spoken {
    pages: Arc<dyn Pages>,
    sql: Arc<Sql>,
}

/// One row each, the likeliest first. Where a server turns out to be a stranger
/// in all of them, the first one says so.
const PROTOCOLS: [Protocol; 2] = [
    Protocol {
        name: "sqld",
        is_of_turso: false,
        speak: |link, _| Spoken {
            pages: Arc::new(Sqld::new(link.clone())),
            sql: Arc::new(Sql::new(link.clone(), &dialect::SQLD)),
        },
    },
    Protocol {
        name: "turso",
        is_of_turso: true,
        speak: |link, notebook| {
            let sql = Arc::new(Sql::new(link.clone(), &dialect::TURSO));
            let pages = Arc::new(Turso::new(link.clone(), notebook.clone(), sql.clone()));
            Spoken { pages, sql }
        },
    },
];

/// SQL goes this way where nobody knows the protocol: a server that does not
/// know it answers 404 and has done nothing.
const WITHOUT_ANY: usize = 0;

/// The row of a protocol.
fn row_of(name: &str) -> Option<usize> {
    PROTOCOLS.iter().position(|protocol| protocol.name == name)
}

/// What is known of the protocol.
#[derive(Clone, Copy)]
struct Known {
    row: usize,
    /// It was spoken in this process or asked for, and not only remembered.
    sure: bool,
}

/// A primary to replicate from and to write to, by any number of threads at
/// once. Connects to nobody before the first request.
pub struct Primary {
    link: Arc<Link>,
    /// In the order of the rows.
    spoken: [Spoken; 2],
    notebook: Arc<dyn Notebook>,
    known: Mutex<Option<Known>>,
}

impl Primary {
    /// The primary at `endpoint`. `protocol` is `"sqld"`, `"turso"`, or `"auto"`:
    /// what the notes say, else what the first request finds out. `token` goes
    /// before the one that `endpoint` may hold.
    pub fn new(
        protocol: &str,
        endpoint: Endpoint,
        token: Option<Secret>,
        options: &ConnectOptions,
        notebook: Arc<dyn Notebook>,
    ) -> Result<Primary> {
        let link = Link::new(endpoint, token, options)?;
        let known = match row_of(protocol) {
            Some(row) => Some(Known { row, sure: true }),
            None if protocol == "auto" => {
                let row = notebook.read().protocol.as_deref().and_then(row_of);
                row.map(|row| Known { row, sure: false })
            }
            None => {
                let text = "there is no such protocol; use \"auto\", \"sqld\" or \"turso\"";
                return Err(Error::new(Kind::BadArgument, text));
            }
        };
        let spoken = PROTOCOLS.map(|protocol| (protocol.speak)(&link, &notebook));
        Ok(Primary { link, spoken, notebook, known: Mutex::new(known) })
    }

    /// The name of its protocol, or `"auto"` before the primary has said which.
    pub fn protocol(&self) -> &'static str {
        self.known().map_or("auto", |known| PROTOCOLS[known.row].name)
    }

    /// Name of the primary's history (sqld: its log id), once it has said it.
    pub fn history(&self) -> Option<String> {
        self.spoken[self.known()?.row].pages.history()
    }

    /// Whether somebody pays for each question, answered or not.
    pub fn bills_requests(&self) -> bool {
        self.link.is_at_turso()
    }

    /// Replaces the token of all later requests.
    pub fn set_token(&self, token: Option<Secret>) {
        self.link.set_token(token);
    }

    /// The way up. What a pull needs may be out of order or forbidden without
    /// being in the way of a write.
    pub fn sql(&self, patience: &Patience) -> Result<Arc<Sql>> {
        let row = match self.row(patience) {
            Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Auth) => WITHOUT_ANY,
            row => row?,
        };
        Ok(self.spoken[row].sql.clone())
    }

    /// The way down: see [`Pages::open`].
    pub fn open(&self, from: Option<Position>, until: Until, patience: &Patience) -> Result<Begin> {
        if from.is_none() && until == Until::Head && self.known().is_none() {
            // Everything there is is also the question, so nothing is asked
            // twice.
            let open = |pages: &Arc<dyn Pages>| pages.clone().open(None, until, patience);
            return self.first_that(open).map(|(_, begin)| begin);
        }
        let row = self.row(patience)?;
        let open = |row: usize| self.spoken[row].pages.clone().open(from, until, patience);
        match (open(row), self.known()) {
            // A server that was exchanged for one of the other kind.
            (Err(error), Some(Known { row, sure: false })) if error.kind() == Kind::Protocol => {
                match self.ask(patience) {
                    Ok(found) if found != row => open(found),
                    _ => Err(error),
                }
            }
            (Ok(Begin::Feed(feed)), Some(known)) => {
                // Some feeds begin without asking anybody.
                if feed.tally().bytes > 0 {
                    *self.known.lock() = Some(Known { sure: true, ..known });
                }
                Ok(Begin::Feed(feed))
            }
            (begun, _) => begun,
        }
    }

    fn known(&self) -> Option<Known> {
        *self.known.lock()
    }

    /// The row of its protocol, which is asked for if nobody knows it.
    fn row(&self, patience: &Patience) -> Result<usize> {
        self.known().map_or_else(|| self.ask(patience), |known| Ok(known.row))
    }

    /// Asks the server which protocol it speaks.
    fn ask(&self, patience: &Patience) -> Result<usize> {
        self.first_that(|pages| pages.greet(patience)).map(|(row, ())| row)
    }

    /// The first protocol in which the server does not turn out to be a
    /// stranger, and what came of that; trouble with the network ends the
    /// search.
    fn first_that<T>(&self, work: impl Fn(&Arc<dyn Pages>) -> Result<T>) -> Result<(usize, T)> {
        let mut strange: Option<(usize, Error)> = None;
        for row in self.order() {
            let pages = &self.spoken[row].pages;
            match work(pages) {
                Ok(done) => {
                    self.note(row);
                    return Ok((row, done));
                }
                // It understood the request, and has a reason of its own.
                Err(error) if pages.has_answered() => return Err(error),
                Err(error) if error.kind() == Kind::Protocol => {
                    if strange.as_ref().is_none_or(|(before, _)| row < *before) {
                        strange = Some((row, error));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let nobody = || Error::new(Kind::Protocol, "no protocol is known");
        Err(strange.map_or_else(nobody, |(_, error)| error))
    }

    /// The rows in the order in which a server is likely to know them.
    fn order(&self) -> [usize; 2] {
        let at_turso = self.link.is_at_turso();
        let mut order = [0, 1];
        order.sort_by_key(|row| PROTOCOLS[*row].is_of_turso != at_turso);
        order
    }

    fn note(&self, row: usize) {
        let before = self.known.lock().replace(Known { row, sure: true });
        if before.is_some_and(|before| before.row == row) {
            return;
        }
        self.notebook.update(&mut |notes| {
            // Attach writes the first notes; until then there is nothing to
            // change.
            if *notes != Notes::default() {
                notes.protocol = Some(PROTOCOLS[row].name.to_owned());
            }
        });
    }
}
