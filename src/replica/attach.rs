//! Attaching: from a URL and a connection to a replica.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Replica;
use super::writes::{Ids, OwnWrites, Retreat, outbox_in_memory};
use crate::credentials::{self, Credentials};
use crate::delivery::Delivery;
use crate::error::{Error, Kind, Result};
use crate::host::{Beside, HostDb, fitness};
use crate::options::{Options, SyncOptions};
use crate::outbox;
use crate::patience::Patience;
use crate::primary::{ConnectOptions, Endpoint, Notebook as _, Primary};
use crate::sidecar::{Followed, Sidecar};
use crate::store::file::{Contents, ReplicaFile};
use crate::sync::Syncer;
use crate::sync::health::{Habits, Health};
use crate::sync::trouble_log::TroubleLog;
use crate::sync::worker::{Schedule, Worker};
use crate::thread::closing_flag;
use crate::units::PAGE_SIZE;

/// What `replica_attach` was asked for.
pub struct Request {
    credentials: Credentials,
    options: Options,
}

impl Request {
    /// `url` and `token` may be found elsewhere: see [`Credentials::find`].
    pub fn new(url: Option<&str>, token: Option<&str>, options: Options) -> Result<Request> {
        Ok(Request { credentials: Credentials::find(url, token, &options)?, options })
    }
}

impl Replica {
    /// Opens the main database of `host` as a replica of the primary at the
    /// URL. An empty file gets its first sync, an existing replica needs no
    /// network. On error the file is as it was before, but that an empty one
    /// may have become a replica that was never synced.
    pub fn attach(host: HostDb, request: Request) -> Result<Replica> {
        let Request { mut credentials, options } = request;
        let schedule = schedule(&options)?;
        let log = options.log.as_deref().map(TroubleLog::open).transpose()?;
        let (file, contents) = open_file(host, &options, &credentials.endpoint)?;
        let sidecar = Arc::new(Sidecar::new(
            &file,
            Followed {
                sync_url: credentials.endpoint.to_string(),
                namespace: options.namespace.clone(),
            },
        ));
        let habits = schedule.map(|schedule| Habits {
            longest_wait: options.timeout + options.busy_timeout,
            every: schedule.interval(),
        });
        let primary = primary(&mut credentials, &options, sidecar.clone())?;
        let delivery = delivery(host, &options)?;
        let syncer = Syncer {
            file,
            primary: Arc::new(primary),
            timeout: options.timeout,
            on_reset: options.on_reset,
            cancelled: host.interrupted(),
            counters: Arc::default(),
            streams: Arc::default(),
            health: Arc::new(Health::new(sidecar.clone(), habits)),
            watch: None,
            delivery,
        };
        if options.first_sync && syncer.file.position()?.is_none() {
            let again = contents == Contents::Replica;
            first_sync(&syncer, again).map_err(|error| credentials.explain(error))?;
        } else if contents == Contents::Nothing {
            syncer.file.become_replica()?;
        }
        if let Some(trouble) = syncer.file.schema_trouble()? {
            syncer.counters.lock().failed(&Error::new(Kind::Local, trouble));
        }
        let protocol = Some(syncer.primary.protocol().to_owned());
        sidecar.update(&mut |notes| notes.protocol = protocol.clone());
        syncer.note();
        let start = |schedule| start_worker(host, &syncer, schedule, log);
        let worker = schedule.map(start).transpose()?;
        // What nobody has asked this connection so far: it may have no
        // descriptor left for the log.
        fitness::check_reading(host)?;
        Ok(Replica {
            syncer,
            endpoint: credentials.endpoint,
            options,
            own_writes: OwnWrites::default(),
            worker,
            process: std::process::id(),
            open: RefCell::default(),
            ids: Ids::default(),
            retreat: Retreat::default(),
        })
    }
}

impl Replica {
    /// Refuses a second attach that means another primary.
    pub fn check_same_primary(&self, request: &Request) -> Result<()> {
        if self.has_open_transaction() {
            let text = "a transaction is open; end it with replica_commit() or replica_rollback()";
            return Err(Error::new(Kind::Misuse, text));
        }
        let same_place = request.credentials.endpoint.is_same_place(&self.endpoint);
        if same_place && request.options.namespace == self.options.namespace {
            return Ok(());
        }
        let text = format!(
            "this connection is attached to {} already; call replica_detach() first",
            self.endpoint
        );
        Err(Error::new(Kind::Misuse, text))
    }
}

/// The file, once it is known that this connection and this primary may have
/// it. Nothing of the primary is in it that was not before.
fn open_file(
    host: HostDb,
    options: &Options,
    endpoint: &Endpoint,
) -> Result<(ReplicaFile, Contents)> {
    let patience = Patience { timeout: options.busy_timeout, cancelled: host.interrupted() };
    let (file, contents) = ReplicaFile::open(host, options.share.as_deref(), patience)?;
    Sidecar::check_place(&file)?;
    if contents == Contents::Nothing && (host.is_opened_to_read() || host.is_query_only()) {
        let text = "this connection only reads, and the file is not a replica yet; attach it \
                    first by one that may write";
        return Err(Error::new(Kind::NotAllowed, text));
    }
    if contents == Contents::Nothing && fitness::may_encrypt(host) {
        // A key is this connection's secret; before any page is here, its
        // own look tells whether there is one.
        file.become_replica()?;
        fitness::check_reading(host)?;
    }
    if contents == Contents::Replica && !options.new_primary && file.position()?.is_some() {
        check_same_place(&file, endpoint, options.namespace.as_deref())?;
    }
    // Before a page of the primary is here. It stays so after a detach,
    // because the primary's schema stays too.
    if !options.trusted_schema {
        host.distrust_schema();
    }
    if let Some(size) = options.max_size {
        file.size_limit.set_max_size(u32::try_from(size / PAGE_SIZE).unwrap_or(u32::MAX));
    }
    file.size_limit.ask(host);
    file.trust_schema(options.trusted_schema)?;
    file.keep_log(options.keep_wal)?;
    file.schema.publish_unreadable.set(options.publish_unreadable_schema);
    Ok((file, contents))
}

/// The primary that the credentials lead to. Nothing is asked of it yet.
fn primary(
    credentials: &mut Credentials,
    options: &Options,
    sidecar: Arc<Sidecar>,
) -> Result<Primary> {
    let endpoint = credentials.endpoint.clone();
    let connect = ConnectOptions {
        namespace: options.namespace.clone(),
        ca_file: credentials::ca_file(&endpoint, options),
        max_answer: options.max_answer,
        encryption_key: credentials::encryption_key(&endpoint, options)?,
        proxy: credentials::proxy(&endpoint, options)?,
    };
    let protocol = options.protocol.as_deref().unwrap_or("auto");
    Primary::new(protocol, endpoint, credentials.token.take(), &connect, sidecar)
}

/// The first sync of a file that has never seen one; `again` if it was attached
/// before.
fn first_sync(syncer: &Syncer, again: bool) -> Result<()> {
    if again && comes_from_elsewhere(syncer)? {
        return Ok(());
    }
    match syncer.sync(SyncOptions::default()) {
        // Whoever kept it locked may have brought it.
        Err(error) if error.kind() == Kind::Busy => {
            comes_from_elsewhere(syncer)?.then_some(()).ok_or(error)
        }
        // A replica of an empty primary has no position either, and needs no
        // network to be attached again.
        Err(error) if again && error.can_retry() => Ok(()),
        synced => synced.map(drop),
    }
    .map_err(|error| error.context("first sync"))
}

/// Waits while another process is writing the file; whether it has a content
/// then. Nothing is pulled meanwhile: it would come twice.
fn comes_from_elsewhere(syncer: &Syncer) -> Result<bool> {
    let patience = syncer.patience(SyncOptions::default());
    let mut deadline = patience.deadline();
    loop {
        if syncer.file.position()?.is_some() {
            return Ok(true);
        }
        if !syncer.file.is_being_written()? {
            return Ok(false);
        }
        if !deadline.pause()? {
            return Err(Error::new(
                Kind::Busy,
                "another process is making the first sync of this file; attach again when it is \
                 through",
            )
            .context("first sync"));
        }
    }
}

/// How the outbox beside the file is emptied; None for a replica in memory.
fn delivery(host: HostDb, options: &Options) -> Result<Option<Delivery>> {
    let Some(place) = Beside::of(host, outbox::ENDING) else {
        if options.offline_writes {
            return Err(outbox_in_memory().context("option offline_writes"));
        }
        return Ok(None);
    };
    let may_write = options.writes && !host.is_opened_to_read();
    Ok(Some(Delivery {
        place,
        busy_timeout: options.busy_timeout,
        on_conflict: options.on_conflict,
        after_reset: options.deliver_after_reset,
        allowed: Arc::new(AtomicBool::new(may_write)),
        waits: true,
    }))
}

/// What a worker is to do, if one was asked for.
fn schedule(options: &Options) -> Result<Option<Schedule>> {
    let schedule = match (options.live, options.sync_interval) {
        (true, Some(_)) => {
            let text = "options live and sync_interval: only one of them can be used";
            return Err(Error::new(Kind::BadArgument, text));
        }
        (true, None) => Schedule::Live,
        (false, Some(interval)) => Schedule::Every(interval),
        (false, None) => return Ok(None),
    };
    Ok(Some(schedule))
}

/// A worker beside `syncer`, with a connection of its own.
fn start_worker(
    host: HostDb,
    syncer: &Syncer,
    schedule: Schedule,
    log: Option<TroubleLog>,
) -> Result<Worker> {
    let (closing, cancelled) = closing_flag();
    let mut beside = syncer.beside(host, cancelled)?;
    // It has a stream to read meanwhile.
    beside.delivery.iter_mut().for_each(|delivery| delivery.waits = false);
    // A long pull is work, too.
    let (health, counters) = (syncer.health.clone(), syncer.counters.clone());
    beside.watch = Some(Box::new(move |_, _| {
        let counters = counters.lock().clone();
        health.beat(&counters, || None);
    }));
    Worker::start(beside, closing, schedule, log)
}

/// A URL that leads elsewhere would have the file's content replaced by the
/// next sync, which may be a slip of the pen, or somebody else's wish.
fn check_same_place(
    file: &ReplicaFile,
    endpoint: &Endpoint,
    namespace: Option<&str>,
) -> Result<()> {
    let Some(present) = Sidecar::remembered(file) else { return Ok(()) };
    let Ok(at) = Endpoint::parse(&present.sync_url) else { return Ok(()) };
    let name = |namespace: Option<&str>| {
        namespace.map_or(String::new(), |name| format!(" (namespace {name})"))
    };
    if at.is_same_place(endpoint) && present.namespace.as_deref() == namespace {
        return Ok(());
    }
    let text = format!(
        "this file follows {at}{}, and following {endpoint}{} would replace its content; if that is \
         meant, attach with '{{\"new_primary\": true}}'",
        name(present.namespace.as_deref()),
        name(namespace),
    );
    Err(Error::new(Kind::NotAllowed, text))
}
