//! Which proxy leads to a primary, if any does: what the environment says, read
//! as curl reads it, or what the caller says.
//!
//! What is found in the environment is for what is elsewhere: a primary on this
//! machine is never asked for by way of it.

use std::fmt;
use std::net::IpAddr;

use super::url::{Endpoint, basic_of, percent_decode};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

/// A proxy that makes tunnels (`CONNECT`). Its user name and password, if it
/// has them, are in no error text and in no form of it that is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    url: Secret,
    place: Endpoint,
    /// Who named it: an option or a variable.
    source: &'static str,
    /// From the URL, as it stands there.
    user: Option<Secret>,
}

/// Says that there is to be no proxy.
const NONE: &str = "none";

impl Proxy {
    /// The proxy for `primary`: `given` by the caller, or named by the variables
    /// of the `environment`.
    pub fn find(
        primary: &Endpoint,
        given: Option<&str>,
        environment: &dyn Fn(&str) -> Option<Secret>,
    ) -> Result<Option<Proxy>> {
        if let Some(url) = given {
            return (url != NONE).then(|| Proxy::parse(url, "option proxy")).transpose();
        }
        if primary.is_loopback() {
            return Ok(None);
        }
        let Some((name, url)) = variable(primary.is_https(), environment) else { return Ok(None) };
        let exceptions = environment("no_proxy").or_else(|| environment("NO_PROXY"));
        if exceptions.is_some_and(|list| is_excepted(primary, &list)) {
            return Ok(None);
        }
        Proxy::parse(&url, name).map(Some)
    }

    fn parse(url: &str, source: &'static str) -> Result<Proxy> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let scheme = scheme.to_ascii_lowercase();
        if scheme.starts_with("socks") {
            return Err(bad(
                source,
                "a SOCKS proxy is not supported; name an HTTP proxy, or say \
                 '{\"proxy\": \"none\"}'",
            ));
        }
        if !["http", "https"].contains(&scheme.as_str()) {
            return Err(bad(source, "its scheme is neither http nor https"));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(Secret::from(user)), host),
            None => (None, authority),
        };
        let place = Endpoint::parse(&format!("{scheme}://{host}")).map_err(|error| {
            error.reworded(|text| {
                let cause = text.rsplit(": ").next().unwrap_or_default();
                format!("{source}: the URL of the proxy cannot be used: {cause}")
            })
        })?;
        let url = Secret::after(&format!("{scheme}://"), authority);
        Ok(Proxy { url, place, source, user })
    }

    /// With the user name and the password.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn is_https(&self) -> bool {
        self.place.is_https()
    }

    pub(super) fn has_user(&self) -> bool {
        self.user.is_some()
    }

    /// What nobody may see: the password, and what it is sent as.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let Some(user) = &self.user else { return Vec::new() };
        let password = user.split_once(':').map_or(&**user, |(_, password)| password);
        let plain = percent_decode(password);
        let colon = if user.contains(':') { "" } else { ":" };
        let sent = percent_decode(user).map(|user| basic_of(&Secret::after(&user, colon)));
        [Some(Secret::from(password)), plain, sent].into_iter().flatten().collect()
    }

    pub(super) fn bad_user(&self) -> Error {
        bad(self.source, "its user name or password is not percent-encoded correctly")
    }
}

/// Host and port, and who named it.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.place.authority(), self.source)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The variable that names the proxy, and what it says. `HTTP_PROXY` can be set
/// by whoever sends a request to a CGI program, as the header `Proxy`.
fn variable(
    https: bool,
    environment: &dyn Fn(&str) -> Option<Secret>,
) -> Option<(&'static str, Secret)> {
    let is_cgi = environment("REQUEST_METHOD").is_some();
    let names: &[&'static str] = match (https, is_cgi) {
        (true, _) => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        (false, true) => &["http_proxy", "all_proxy", "ALL_PROXY"],
        (false, false) => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    names.iter().find_map(|name| Some((*name, environment(name)?)))
}

/// Whether the list names the primary: `*`, a host and all below it, a host and
/// a port, an address, or a network as `10.0.0.0/8`.
fn is_excepted(primary: &Endpoint, list: &str) -> bool {
    list.split(|letter: char| letter == ',' || letter.is_whitespace())
        .filter(|entry| !entry.is_empty())
        .any(|entry| entry == "*" || names(&entry.to_ascii_lowercase(), primary))
}

fn names(entry: &str, primary: &Endpoint) -> bool {
    let (host, port) = (primary.host(), primary.port());
    if let Ok(address) = host.parse::<IpAddr>() {
        if let Some((network, bits)) = entry.split_once('/') {
            return is_in_network(address, network, bits);
        }
    }
    let (name, its_port) = host_and_port(entry);
    if its_port.is_some_and(|its_port| its_port.parse() != Ok(port)) {
        return false;
    }
    let name = name.trim_start_matches('*').trim_matches('.');
    let host = host.trim_end_matches('.');
    let below = host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    !name.is_empty() && (host == name || below && host.parse::<IpAddr>().is_err())
}

/// An IPv6 address may stand there with brackets or without.
fn host_and_port(entry: &str) -> (&str, Option<&str>) {
    match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None if entry.matches(':').count() > 1 => (entry, None),
        None => entry.split_once(':').map_or((entry, None), |(host, port)| (host, Some(port))),
    }
}

fn is_in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let (address, network, length) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let rest = length - bits.min(length);
    bits <= length && (address ^ network).checked_shr(rest).unwrap_or(0) == 0
}

fn bad(source: &str, cause: &str) -> Error {
    Error::new(Kind::BadArgument, format!("{source}: the URL of the proxy cannot be used: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(primary: &str, given: Option<&str>, environment: &[(&str, &str)]) -> String {
        let primary = Endpoint::parse(primary).unwrap();
        let found = Proxy::find(&primary, given, &|name| {
            let given = environment.iter().find(|(given, _)| *given == name);
            given.map(|(_, value)| Secret::from(*value))
        });
        match found {
            Ok(Some(proxy)) => proxy.to_string(),
            Ok(None) => "none".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_environment_is_read_as_curl_reads_it() {
        let all = [
            ("https_proxy", "http://a:1"),
            ("HTTPS_PROXY", "b:2"),
            ("HTTP_PROXY", "http://c:3/"),
            ("ALL_PROXY", "HTTP://u:p@d:4"),
        ];
        for (primary, environment, expected) in [
            ("libsql://h.io", &all[..], "a:1 (https_proxy)"),
            ("https://h.io", &all[1..], "b:2 (HTTPS_PROXY)"),
            ("http://h.io", &all, "c:3 (HTTP_PROXY)"),
            ("https://h.io", &all[2..], "d:4 (ALL_PROXY)"),
            ("https://h.io", &[], "none"),
            // What is on this machine is not elsewhere.
            ("http://127.0.0.1:8080", &all, "none"),
            ("http://[::1]:8080", &all, "none"),
            ("http://db.localhost:8080", &all, "none"),
            // Of a CGI program, by whom it is called.
            ("http://h.io", &[("HTTP_PROXY", "http://c:3"), ("REQUEST_METHOD", "GET")], "none"),
        ] {
            assert_eq!(found(primary, None, environment), expected, "{primary} {environment:?}");
        }
    }

    #[test]
    fn exceptions_are_hosts_with_all_below_them_ports_addresses_and_networks() {
        for (primary, list, excepted) in [
            ("https://h.io", "*", true),
            ("https://h.io", "x.io, H.IO", true),
            ("https://a.h.io", "h.io", true),
            ("https://a.h.io", ".h.io", true),
            ("https://a.h.io", "*.h.io", true),
            ("https://evilh.io", "h.io", false),
            ("https://h.io.evil", "h.io", false),
            ("https://h.io", "h.io:443", true),
            ("https://h.io:8443", "h.io:443", false),
            ("https://h.io", "", false),
            ("https://h.io", ".", false),
            ("https://10.1.2.3", "10.1.2.3", true),
            ("https://110.1.2.3", "10.1.2.3 0.1.2.3", false),
            ("https://10.1.2.3", "10.0.0.0/8", true),
            ("https://11.1.2.3", "10.0.0.0/8", false),
            ("https://10.1.2.3", "0.0.0.0/0", true),
            ("https://10.1.2.3", "10.0.0.0/99", false),
            ("https://[fd00::1]", "fd00::/8", true),
            ("https://[fd00::1]", "[fd00::1]:443", true),
            ("https://[fd00::1]", "fd00::2", false),
        ] {
            for name in ["no_proxy", "NO_PROXY"] {
                let environment = [("ALL_PROXY", "http://p:1"), (name, list)];
                let is_none = found(primary, None, &environment) == "none";
                assert_eq!(is_none, excepted, "{primary} {list}");
            }
        }
    }

    #[test]
    fn the_caller_goes_before_the_environment_and_no_error_has_the_password() {
        let environment = [("ALL_PROXY", "http://p:1"), ("NO_PROXY", "*")];
        for (given, expected) in [
            ("none", "none"),
            ("http://u:SECRET@[::1]:3128", "[::1]:3128 (option proxy)"),
            ("https://q", "q (option proxy)"),
        ] {
            assert_eq!(found("https://h.io", Some(given), &environment), expected);
        }
        for (given, part) in [
            ("socks5h://u:SECRET@h:1080", "SOCKS"),
            ("ftp://u:SECRET@h", "neither http nor https"),
            ("http://u:SECRET@", "it has no host"),
            ("http://u:SECRET@h:port", "its port is not a number"),
            ("http://u:SECRET@a b", "it has a space"),
        ] {
            let error = found("https://h.io", Some(given), &[]);
            let whole = error.starts_with("option proxy: the URL of the proxy cannot be used: ");
            assert!(whole && error.contains(part) && !error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn the_password_is_a_secret_in_each_of_its_forms() {
        let proxy = Proxy::parse("http://user:pa%20ss@h", "option proxy").unwrap();
        let secrets = proxy.secrets();
        let secrets: Vec<&str> = secrets.iter().map(|secret| &**secret).collect();
        assert_eq!(secrets, ["pa%20ss", "pa ss", "dXNlcjpwYSBzcw=="]);
        assert!(!format!("{proxy:?}{proxy}").contains("pa"), "{proxy:?}");
    }
}
