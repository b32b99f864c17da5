//! Which other URLs lead to the same server, and what may be sent there.

use super::{Endpoint, host_and_port};

impl Endpoint {
    /// Whether what is sent there stays on this machine.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        address.is_ok_and(|address| address.is_loopback())
            || self.host == "localhost"
            || self.host.ends_with(".localhost")
    }

    /// Whether both are one server, spoken to in the same way.
    pub fn is_same_server(&self, other: &Endpoint) -> bool {
        (self.https, &self.host, self.port()) == (other.https, &other.host, other.port())
    }

    /// Whether both lead to the same database, as far as URLs tell.
    pub fn is_same_place(&self, other: &Endpoint) -> bool {
        self.is_same_server(other) && self.path == other.path
    }

    /// Whether `name` names the server: `host`, `host:port`, or `*.domain` for
    /// all hosts below a domain. Without a port it is the one of the scheme.
    pub fn is_named(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let (domain, name) = match name.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, name.as_str()),
        };
        let Ok((host, port)) = host_and_port(name) else { return false };
        let host_fits = if domain {
            let below = self.host.strip_suffix(&host).and_then(|below| below.strip_suffix('.'));
            host.contains('.') && below.is_some_and(|below| !below.is_empty())
        } else {
            self.host == host
        };
        host_fits && port.unwrap_or(if self.https { 443 } else { 80 }) == self.port()
    }

    /// Whether a server there may be asked instead, with the same token: the
    /// same host or one below it, at the same port, and not without TLS if this
    /// one is with.
    pub fn may_send_to(&self, other: &Endpoint) -> bool {
        let below = other.host.strip_suffix(&self.host).is_some_and(|rest| rest.ends_with('.'));
        let same_port = self.port() == other.port();
        let host = other.host == self.host || (below && !self.is_address());
        host && same_port && (other.https || !self.https)
    }

    /// Whether a redirection to there is followed: to the same server, or to the
    /// same host with TLS.
    pub fn may_redirect_to(&self, other: &Endpoint) -> bool {
        let same_port = self.port() == other.port();
        self.host == other.host
            && ((self.https == other.https && same_port) || (other.https && !self.https))
    }

    fn is_address(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_again_however_it_is_written() {
        let parse = |url| Endpoint::parse(url).unwrap();
        for (one, other, server, place) in [
            ("libsql://h", "https://H:443/", true, true),
            ("libsql://h?tls=0", "http://h:80", true, true),
            ("https://h/a", "https://h/b", true, false),
            ("https://h", "http://h", false, false),
            ("https://h:443", "http://h:443", false, false),
            ("https://h", "https://h:8443", false, false),
            ("https://h", "https://h.evil", false, false),
            ("https://h.good", "https://h", false, false),
        ] {
            assert_eq!(parse(one).is_same_server(&parse(other)), server, "{one} {other}");
            assert_eq!(parse(one).is_same_place(&parse(other)), place, "{one} {other}");
        }
        for (url, name, named) in [
            ("https://db.turso.io", "db.turso.io", true),
            ("https://db.turso.io", "DB.turso.io:443", true),
            ("https://db.turso.io:8443", "db.turso.io", false),
            ("https://db.turso.io", "*.turso.io", true),
            ("https://a.b.turso.io", "*.turso.io", true),
            ("https://turso.io", "*.turso.io", false),
            ("https://evil-turso.io", "*.turso.io", false),
            ("https://turso.io.evil", "*.turso.io", false),
            ("https://db.turso.io", "*.io", false),
            ("https://db.turso.io", "*", false),
            ("https://db.turso.io", "", false),
            ("http://[::1]:8080", "[::1]:8080", true),
        ] {
            assert_eq!(parse(url).is_named(name), named, "{url} {name}");
        }
        for (url, loopback) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://localhost:8080", true),
            ("http://app.localhost", true),
            ("http://localhost.evil", false),
            ("http://127.0.0.1.evil", false),
            ("http://10.0.0.1", false),
            ("http://0.0.0.0", false),
        ] {
            assert_eq!(parse(url).is_loopback(), loopback, "{url}");
        }
    }

    #[test]
    fn a_token_goes_to_no_other_host() {
        let endpoint = |url: &str| Endpoint::parse(url).unwrap();
        let home = endpoint("https://db.example.org");
        for (url, base, redirect) in [
            ("https://db.example.org/a", true, true),
            ("https://one.db.example.org", true, false),
            ("https://db.example.org:8443", false, false),
            ("http://db.example.org:443", false, false),
            ("https://example.org", false, false),
            ("https://evildb.example.org", false, false),
            ("https://db.example.org.evil.org", false, false),
        ] {
            assert_eq!(home.may_send_to(&endpoint(url)), base, "{url}");
            assert_eq!(home.may_redirect_to(&endpoint(url)), redirect, "{url}");
        }
        assert!(endpoint("http://h:80").may_redirect_to(&endpoint("https://h")));
        assert!(!endpoint("http://1.2.3.4").may_send_to(&endpoint("http://a.1.2.3.4")));
    }
}
