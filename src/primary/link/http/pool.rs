//! The connections to one server, shared by everything in this process that
//! talks to it: fifty replicas of one primary need no fifty idle sockets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, RustlsConnector};

use super::super::proxy::Proxy;
use super::super::url::Endpoint;
use super::transport::{NoResolver, TcpConnector, Tracking};
use crate::error::Result;

/// Unused connections are closed after this time: most balancers and
/// firewalls on the way forget them later than that, after a minute or more.
const MAX_IDLE: Duration = Duration::from_secs(50);

/// What cannot be repeated goes over one that was used within this time: a
/// close that crosses it on the way leaves its outcome unknown.
pub(super) const MAX_IDLE_FOR_WRITES: Duration = Duration::from_secs(20);

/// More are used where more are busy; these are kept for the next request.
const KEPT: usize = 4;

/// Size of the pieces in which a request is sent: each has to be taken within
/// the timeout.
const PIECE: usize = 32 * 1024;

static POOLS: Mutex<Vec<(Key, Weak<Pool>)>> = Mutex::new(Vec::new());

pub(super) struct Pool {
    pub agent: Agent,
    /// The last answer was a refusal, after which a server may close the
    /// connection without having said so.
    refused: AtomicBool,
}

/// Who may use each other's connections.
#[derive(PartialEq)]
struct Key {
    /// A forked child has its parent's sockets, and must not write to them.
    process: u32,
    https: bool,
    authority: String,
    /// The authorities that the server was checked against, in DER.
    roots: Option<Vec<Vec<u8>>>,
    /// Whose password is part of it: no way is used that another one opened.
    proxy: Option<Proxy>,
}

impl Pool {
    /// The pool of this process for that server, which lasts as long as
    /// somebody holds it. `roots`: instead of the built-in authorities.
    pub fn shared(
        endpoint: &Endpoint,
        roots: Option<Vec<Certificate<'static>>>,
        proxy: Option<&Proxy>,
    ) -> Result<Arc<Pool>> {
        let der =
            |roots: &Vec<Certificate<'_>>| roots.iter().map(|one| one.der().to_vec()).collect();
        let key = Key {
            process: std::process::id(),
            https: endpoint.is_https(),
            authority: endpoint.authority(),
            roots: roots.as_ref().map(der),
            proxy: proxy.cloned(),
        };
        let mut pools = POOLS.lock();
        pools.retain(|(_, pool)| pool.strong_count() > 0);
        let known = pools.iter().find(|(other, _)| *other == key);
        if let Some(pool) = known.and_then(|(_, pool)| pool.upgrade()) {
            return Ok(pool);
        }
        let pool = Arc::new(Pool { agent: agent(roots, proxy)?, refused: AtomicBool::new(false) });
        pools.push((key, Arc::downgrade(&pool)));
        Ok(pool)
    }

    pub fn note_refusal(&self, refused: bool) {
        self.refused.store(refused, Ordering::Relaxed);
    }

    /// Whether a pooled connection may be closed without a sign of it.
    pub fn is_doubtful(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

fn agent(roots: Option<Vec<Certificate<'static>>>, proxy: Option<&Proxy>) -> Result<Agent> {
    let way = proxy.map(|proxy| ureq::Proxy::new(proxy.url()).map_err(|_| proxy.bad_user()));
    let roots = roots.map_or(RootCerts::WebPki, |roots| RootCerts::Specific(Arc::new(roots)));
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(way.transpose()?)
        .user_agent(concat!("sqlite-replica/", env!("CARGO_PKG_VERSION")))
        .accept("")
        .accept_encoding("identity")
        .output_buffer_size(PIECE)
        .max_idle_age(MAX_IDLE)
        .max_idle_connections(KEPT)
        .max_idle_connections_per_host(KEPT)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .build();
    let connector = ConnectProxyConnector::default()
        .chain(TcpConnector)
        .chain(RustlsConnector::default())
        .chain(Tracking { by_proxy: proxy.is_some() });
    Ok(Agent::with_parts(config, connector, NoResolver))
}
