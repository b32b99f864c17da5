//! An answer whose head has come: its head, and its body piece by piece.
//!
//! A body has no length that it would be trusted with, and no end that would
//! have to come: each read ends in its time, and a body that is not a stream of
//! events has to come at a certain speed, or a peer with a byte for each wait
//! could hold a caller for days.

use std::io::Read as _;
use std::time::{Duration, Instant};

use ureq::{BodyReader, http};

use super::fault::{Fault, Limits};
use super::transport::during;
use super::{cause_of, interrupted};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;

/// Slowest body of pages, in bytes a second, once the timeout has been waited
/// for it altogether: four seconds a page.
const SLOWEST_PAGES: u64 = 1024;

/// Slowest body that is read as a whole.
const SLOWEST_WHOLE: u64 = 16 * 1024;

/// An answer whose head has come.
pub(crate) struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: BodyReader<'static>,
    bytes: u64,
    /// Bytes of the request's body.
    request_bytes: usize,
    /// What was read of the body ahead of time.
    held: Option<Option<Vec<u8>>>,
    /// How long its reader waited for it.
    waited: Duration,
    peer: String,
    patience: Patience,
}

impl Answer {
    pub(super) fn new(
        response: http::Response<ureq::Body>,
        request_bytes: usize,
        peer: &str,
        patience: &Patience,
    ) -> Answer {
        let (head, body) = response.into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.into_reader(),
            bytes: 0,
            request_bytes,
            held: None,
            waited: Duration::ZERO,
            peer: peer.to_owned(),
            patience: patience.clone(),
        }
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// How the body is compressed, if it is.
    pub fn encoding(&self) -> Option<&str> {
        self.header("content-encoding")
            .filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    }

    /// Scheme, host and port that a redirection leads to.
    pub fn redirects_to(&self) -> Option<String> {
        let target = self.header("location")?.parse::<http::Uri>().ok()?;
        let (scheme, host) = (target.scheme_str()?, target.host()?);
        let port = target.port_u16().map_or(String::new(), |port| format!(":{port}"));
        Some(format!("{scheme}://{host}{port}"))
    }

    /// The type without its parameters, empty if there is none.
    pub fn content_type(&self) -> &str {
        let whole = self.header("content-type").unwrap_or("");
        whole.split(';').next().unwrap_or("").trim()
    }

    /// Replaces the patience that the request was sent with, for the reads to
    /// come.
    pub fn set_patience(&mut self, patience: &Patience) {
        self.patience = patience.clone();
    }

    /// Bytes of the body of the request that it answers.
    pub fn request_bytes(&self) -> usize {
        self.request_bytes
    }

    /// Bytes of the body read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the next bytes of the body; 0 at its end. The errors are of kind
    /// Unavailable (it broke off, or did not come in time) or Interrupted.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read_paced(SLOWEST_PAGES, buffer)
    }

    /// Like [`Answer::read`], but None if nothing came in time; reading may go
    /// on after that. For a stream, which has nothing to say for hours.
    pub fn read_or_idle(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.read_within(self.patience.timeout, buffer)
    }

    /// The rest of the body, if it is no longer than `limit`; None if it is.
    pub fn read_to_end(&mut self, limit: usize) -> Result<Option<Vec<u8>>> {
        if let Some(held) = self.held.take() {
            return Ok(held.filter(|body| body.len() <= limit));
        }
        let mut all = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.read_paced(SLOWEST_WHOLE, &mut buffer)? {
                0 => return Ok(Some(all)),
                read if all.len() + read > limit => return Ok(None),
                read => all.extend_from_slice(&buffer[..read]),
            }
        }
    }

    /// Reads the body, no longer than `limit`, so that it can be looked at
    /// before somebody else reads it to its end.
    pub fn look_ahead(&mut self, limit: usize) -> Result<&[u8]> {
        let body = self.read_to_end(limit)?;
        Ok(self.held.insert(body).as_deref().unwrap_or_default())
    }

    /// All waits together may last as long as the patience, and longer by what
    /// has come meanwhile at `slowest` bytes a second.
    fn read_paced(&mut self, slowest: u64, buffer: &mut [u8]) -> Result<usize> {
        let timeout = self.patience.timeout;
        let earned = Duration::from_millis(self.bytes.saturating_mul(1000) / slowest);
        let left = timeout.saturating_add(earned).saturating_sub(self.waited);
        let started = Instant::now();
        let read = match left.is_zero() {
            true => None,
            false => self.read_within(left.min(timeout), buffer)?,
        };
        self.waited += started.elapsed();
        read.ok_or_else(|| {
            let seconds = timeout.as_secs_f64();
            let cause = match left < timeout {
                true => format!(
                    "it comes too slowly ({} bytes in {:.1} s)",
                    self.bytes,
                    self.waited.as_secs_f64()
                ),
                false => format!("nothing came for {seconds} s"),
            };
            self.broke_off(&cause)
        })
    }

    fn broke_off(&self, cause: &str) -> Error {
        Error::new(
            Kind::Unavailable,
            format!("the primary at {} broke off in the middle of its answer: {cause}", self.peer),
        )
    }

    fn read_within(&mut self, timeout: Duration, buffer: &mut [u8]) -> Result<Option<usize>> {
        if (self.patience.cancelled)() {
            return Err(interrupted());
        }
        let limits = Limits { timeout, ..Limits::of(&self.patience) };
        let (result, trace) = during(limits, || self.body.read(buffer));
        let error = match result {
            Ok(read) => {
                self.bytes += read as u64;
                return Ok(Some(read));
            }
            Err(error) => error,
        };
        match trace.fault {
            Some(Fault::Cancelled) => Err(interrupted()),
            Some(Fault::Late) => Ok(None),
            Some(Fault::Endless) => Err(self.broke_off("it goes on without saying anything")),
            _ => Err(self.broke_off(&cause_of(&error))),
        }
    }
}
