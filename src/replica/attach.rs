//! Attaching: from a URL and a connection to a replica.

use std::cell::RefCell;
use std::sync::Arc;

use super::Replica;
use super::options::{Options, SyncOptions};
use super::sidecar::Sidecar;
use super::sync::Syncer;
use super::worker::{Schedule, Worker};
use crate::error::{Error, Kind, Result};
use crate::host::HostDb;
use crate::patience::Patience;
use crate::primary::{self, ConnectOptions, Endpoint, Notebook as _, Notes};
use crate::store::file::{Contents, ReplicaFile};
use crate::thread::closing_flag;

/// Where a token may come from when neither the call nor the URL gives one.
const TOKEN_VARIABLES: [&str; 2] = ["REPLICA_TOKEN", "TURSO_AUTH_TOKEN"];

/// What `replica_attach` was asked for.
pub struct Request {
    pub sync_url: String,
    pub token: Option<String>,
    pub options: Options,
}

impl Replica {
    /// Opens the main database of `host` as a replica of the primary at the
    /// URL. An empty file gets its first sync, an existing replica needs no
    /// network. On error the file is as it was before, but that an empty one
    /// may have become a replica that was never synced.
    pub fn attach(host: HostDb, request: Request) -> Result<Replica> {
        let Request { sync_url, token, options } = request;
        let schedule = schedule(&options)?;
        let mut endpoint = Endpoint::parse(&sync_url)?;
        let token = token.or_else(|| endpoint.take_token()).or_else(token_from_environment);
        let sync_url = endpoint.to_string();
        let interrupted = host.interrupted();
        let patience = Patience { timeout: options.busy_timeout, cancelled: interrupted.clone() };
        let (file, contents) = ReplicaFile::open(host, patience)?;
        // Before a page of the primary is here. It stays so after a detach,
        // because the primary's schema stays too.
        if !options.trusted_schema {
            host.distrust_schema();
        }
        let connect = ConnectOptions {
            namespace: options.namespace.clone(),
            ca_file: options.ca_file.clone(),
        };
        let protocol = options.protocol.as_deref().unwrap_or("auto");
        let sidecar = Arc::new(Sidecar::new(file.path(), &sync_url));
        let primary = primary::connect(protocol, endpoint, token, &connect, sidecar.clone())?;
        let syncer = Syncer {
            file,
            primary,
            timeout: options.timeout,
            on_reset: options.on_reset,
            cancelled: interrupted,
            counters: Arc::default(),
            watch: None,
        };
        if options.first_sync && syncer.file.position()?.is_none() {
            let synced = syncer.sync(SyncOptions::default());
            // A replica of an empty primary has no position either, and needs
            // no network to be attached again.
            let again = contents == Contents::Replica;
            match synced {
                Err(error) if again && error.can_retry() => {}
                synced => drop(synced.map_err(|error| error.context("first sync"))?),
            }
        } else if contents == Contents::Nothing {
            syncer.file.become_replica()?;
        }
        let protocol = Some(syncer.primary.protocol().to_owned());
        sidecar.write(&Notes { protocol, ..sidecar.read() });
        let worker = schedule.map(|schedule| start_worker(host, &syncer, schedule)).transpose()?;
        Ok(Replica {
            syncer,
            sync_url,
            options,
            own_writes: RefCell::default(),
            _worker: worker,
            process: std::process::id(),
            open: RefCell::default(),
        })
    }
}

impl Replica {
    /// Refuses a second attach that means another primary.
    pub fn check_same_primary(&self, request: &Request) -> Result<()> {
        let present = Endpoint::parse(&self.sync_url)?.base();
        if self.has_open_transaction() {
            let text = "a transaction is open; end it with replica_commit() or replica_rollback()";
            return Err(Error::new(Kind::Misuse, text));
        }
        let same_place = Endpoint::parse(&request.sync_url)?.base() == present;
        if same_place && request.options.namespace == self.options.namespace {
            return Ok(());
        }
        let text = format!(
            "this connection is attached to {} already; call replica_detach() first",
            self.sync_url
        );
        Err(Error::new(Kind::Misuse, text))
    }
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
fn start_worker(host: HostDb, syncer: &Syncer, schedule: Schedule) -> Result<Worker> {
    let (closing, cancelled) = closing_flag();
    Worker::start(syncer.beside(host, cancelled)?, closing, schedule)
}

fn token_from_environment() -> Option<String> {
    TOKEN_VARIABLES
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|token| !token.is_empty())
}
