//! Which database of a sqld with namespaces is meant, where the options name
//! none: the one that libsql's client finds, and that sqld itself takes for SQL.
//!
//! The replication log asks for a header where SQL goes by the name of the host.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

pub(super) const HEADER: &str = "x-namespace-bin";

/// How sqld names the database of a client that names none.
const DEFAULT: &str = "default";

/// What sqld says where the header is missing.
pub(super) const MISSING: &str = "Missing x-namespace-bin metadata";

/// What the name of a host says of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// Its first label is one.
    Label(String),
    /// It has a single label, so the default database is meant.
    Single,
    /// An address has no labels.
    Address,
}

impl Host {
    /// `authority`: host and port.
    pub fn of(authority: &str) -> Host {
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        let address = host.trim_start_matches('[').trim_end_matches(']');
        if address.parse::<IpAddr>().is_ok() {
            return Host::Address;
        }
        match host.split_once('.') {
            Some((label, rest)) if !label.is_empty() && !rest.is_empty() => {
                Host::Label(label.to_owned())
            }
            _ => Host::Single,
        }
    }

    /// The header's value, to be sent in any case, or only (`asked`) to a server
    /// that wants one.
    pub fn header(&self, asked: bool) -> Option<String> {
        match self {
            Host::Label(label) => Some(BASE64.encode(label)),
            Host::Single if asked => Some(BASE64.encode(DEFAULT)),
            Host::Single | Host::Address => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_label_of_a_dotted_name_is_a_namespace() {
        let label = |name: &str| Host::Label(name.to_owned());
        assert_eq!(Host::of("one.db.example.com:8080"), label("one"));
        assert_eq!(Host::of("one.localhost"), label("one"));
        for address in ["127.0.0.1:8080", "127.0.0.1", "[::1]:8080", "[::1]"] {
            assert_eq!(Host::of(address), Host::Address, "{address}");
        }
        for single in ["localhost:8080", "primary", "primary.", "primary.:8080"] {
            assert_eq!(Host::of(single), Host::Single, "{single}");
        }
        assert_eq!(label("one").header(false).as_deref(), Some("b25l"));
        assert_eq!(Host::Single.header(false), None);
        assert_eq!(Host::Single.header(true).as_deref(), Some("ZGVmYXVsdA"));
        assert_eq!(Host::Address.header(true), None);
    }
}
