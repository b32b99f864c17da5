//! The URL of a primary, as a user writes it, and where it leads.
//!
//! No error text and no display form here repeats the URL or anything behind
//! its `?`: a token may be in it. Nothing is looked up or connected.

mod trust;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

/// Where a primary is.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    https: bool,
    /// Name or address, in lower case; an IPv6 address without its brackets.
    host: String,
    port: Option<u16>,
    /// Path in front of the paths of the protocol, without a slash at its end.
    path: String,
    /// What the user wrote in front of `://`.
    scheme: Scheme,
    /// From `authToken=`; taken out by [`Endpoint::take_token`].
    token: Option<Secret>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Libsql,
    Https,
    Wss,
    Http,
    Ws,
}

const SCHEMES: [(&str, Scheme); 6] = [
    ("libsql", Scheme::Libsql),
    ("turso", Scheme::Libsql),
    ("https", Scheme::Https),
    ("wss", Scheme::Wss),
    ("http", Scheme::Http),
    ("ws", Scheme::Ws),
];

/// Begins a token that is a user name and a password.
pub const BASIC: &str = "Basic ";

impl Endpoint {
    /// Reads `libsql://host[:port][/path][?tls=0][&authToken=...]`, also with
    /// https, wss (TLS), http or ws (no TLS). Errors are of kind BadArgument.
    pub fn parse(url: &str) -> Result<Endpoint> {
        if url.is_empty() {
            return Err(bad("it is empty"));
        }
        if let Some(odd) = url.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return Err(bad(if odd == ' ' {
                "it has a space"
            } else {
                "it has a control character"
            }));
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            bad("it does not begin with libsql://, https:// or http://, as http://127.0.0.1:8080")
        })?;
        let known = SCHEMES.into_iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name));
        let (_, scheme) = known
            .ok_or_else(|| bad("its scheme is none of libsql, turso, https, wss, http and ws"))?;
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(basic(user)?), authority),
            None => (None, authority),
        };
        let (host, port) = host_and_port(authority)?;
        let (tls, token) = parameters(query)?;
        if user.is_some() && token.is_some() {
            return Err(bad("it has both a user name and a token"));
        }
        let token = user.or(token);
        let https = scheme_is_https(scheme, tls)?;
        let path = path.trim_end_matches('/').to_owned();
        if !path.bytes().all(is_path_byte) {
            return Err(bad("its path has a character that must be percent-encoded"));
        }
        Ok(Endpoint { https, host, port, path, scheme, token })
    }

    /// `https://host[:port][/path]`, to which a path of the protocol is added.
    pub fn base(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }

    /// Host and port, if one was given, for error texts.
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        self.port.map_or(host.clone(), |port| format!("{host}:{port}"))
    }

    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Name or address, without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(if self.https { 443 } else { 80 })
    }

    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The token of the URL, which the endpoint then no longer holds.
    pub fn take_token(&mut self) -> Option<Secret> {
        self.token.take()
    }
}

/// The URL without token: what the status table shows and what may be stored.
/// Parsing it again leads to the same place.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = SCHEMES.into_iter().find(|(_, scheme)| *scheme == self.scheme);
        let name = known.map_or("libsql", |(name, _)| name);
        write!(f, "{name}://{}{}", self.authority(), self.path)?;
        if self.scheme == Scheme::Libsql && !self.https {
            f.write_str("?tls=0")?;
        }
        Ok(())
    }
}

/// Without the token too.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) =
            rest.split_once(']').ok_or_else(|| bad("its IPv6 address has no closing bracket"))?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| bad("its IPv6 address is not valid"))?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err(bad("something stands behind its IPv6 address")),
        }
    } else {
        match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(bad("its host has several colons; an IPv6 address needs brackets"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err(bad("it has no host"));
    }
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if !host.bytes().all(is_host_byte) {
        return Err(bad("its host has a character that no host name has"));
    }
    let port = match port {
        None => None,
        Some(port) => Some(
            port.parse::<u16>()
                .ok()
                .filter(|number| *number != 0 && port.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| bad("its port is not a number from 1 to 65535"))?,
        ),
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// What stands before an `@`, as the credentials of HTTP's basic scheme.
fn basic(user: &str) -> Result<Secret> {
    let wrong = || bad("its user name and password are not percent-encoded correctly");
    let user = percent_decode(user).ok_or_else(wrong)?;
    if !user.contains(':') {
        return Err(bad("it has a user name without a password; give a token as an argument"));
    }
    Ok(Secret::after(BASIC, &basic_of(&user)))
}

/// What is sent of a user name and a password.
pub(super) fn basic_of(user: &str) -> Secret {
    Secret::from(STANDARD.encode(user))
}

/// `tls` and `authToken` from what stands behind the `?`.
fn parameters(query: &str) -> Result<(Option<bool>, Option<Secret>)> {
    let (mut tls, mut token) = (None, None);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "tls" if tls.is_none() => {
                tls = Some(match value {
                    "0" => false,
                    "1" => true,
                    _ => return Err(bad("its parameter tls is neither 0 nor 1")),
                });
            }
            "authToken" | "auth_token" if token.is_none() => {
                let value = percent_decode(value)
                    .ok_or_else(|| bad("its authToken is not percent-encoded correctly"))?;
                token = Some(value).filter(|value| !value.is_empty());
            }
            "tls" | "authToken" | "auth_token" => return Err(bad("it gives a parameter twice")),
            // The name is not repeated: it may be a token whose name is missing.
            _ => return Err(bad("it has a parameter other than tls and authToken")),
        }
    }
    Ok((tls, token))
}

fn scheme_is_https(scheme: Scheme, tls: Option<bool>) -> Result<bool> {
    match (scheme, tls) {
        (Scheme::Libsql, tls) => Ok(tls.unwrap_or(true)),
        (Scheme::Https | Scheme::Wss, Some(false)) => {
            Err(bad("its scheme means TLS and its parameter tls=0 does not; use http://"))
        }
        (Scheme::Https | Scheme::Wss, _) => Ok(true),
        (Scheme::Http | Scheme::Ws, Some(true)) => {
            Err(bad("its scheme means no TLS and its parameter tls=1 does; use https://"))
        }
        (Scheme::Http | Scheme::Ws, _) => Ok(false),
    }
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/%!$&'()*+,;=:@".contains(&byte)
}

pub(super) fn percent_decode(text: &str) -> Option<Secret> {
    let mut bytes = text.bytes();
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        // Two hexadecimal digits make a byte.
        out.push((high * 16 + low) as u8);
    }
    std::str::from_utf8(&out).ok().map(Secret::from)
}

fn bad(cause: &str) -> Error {
    Error::new(Kind::BadArgument, format!("the URL of the primary cannot be used: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_where_they_say() {
        for (url, base, shown) in [
            ("libsql://db-org.turso.io", "https://db-org.turso.io", "libsql://db-org.turso.io"),
            ("LIBSQL://DB.turso.io/", "https://db.turso.io", "libsql://db.turso.io"),
            ("libsql://h:8080?tls=0", "http://h:8080", "libsql://h:8080?tls=0"),
            ("libsql://h:8080?tls=1", "https://h:8080", "libsql://h:8080"),
            ("wss://h", "https://h", "wss://h"),
            ("ws://h", "http://h", "ws://h"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/", "http://[::1]:8080", "http://[::1]:8080"),
            ("https://h/a/b%20c/?#x", "https://h/a/b%20c", "https://h/a/b%20c"),
            ("https://h?authToken=t", "https://h", "https://h"),
            ("turso://h?auth_token=t", "https://h", "libsql://h"),
            ("https://user:secret@h:1/a", "https://h:1/a", "https://h:1/a"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(endpoint.base(), base, "{url}");
            assert_eq!(endpoint.to_string(), shown, "{url}");
            assert_eq!(Endpoint::parse(shown).unwrap().base(), base, "{url}");
        }
    }

    #[test]
    fn the_token_is_taken_from_the_url_and_never_shown() {
        let mut endpoint = Endpoint::parse("libsql://h?authToken=SECRET%2b&tls=0").unwrap();
        assert!(!format!("{endpoint} {endpoint:?} {}", endpoint.base()).contains("SECRET"));
        assert_eq!(endpoint.take_token().as_deref(), Some("SECRET+"));
        assert_eq!(endpoint.take_token(), None);
        assert_eq!(Endpoint::parse("libsql://h?authToken=").unwrap().take_token(), None);
        let mut endpoint = Endpoint::parse("https://a%40b:SECRET@h").unwrap();
        assert!(!format!("{endpoint} {endpoint:?} {}", endpoint.base()).contains("SECRET"));
        assert_eq!(endpoint.take_token().as_deref(), Some("Basic YUBiOlNFQ1JFVA=="));
    }

    #[test]
    fn bad_urls_are_refused_in_one_sentence_without_the_url() {
        for url in [
            "",
            "SECRET",
            "db.turso.io?authToken=SECRET",
            "file:///SECRET",
            "ftp://h/SECRET",
            "libsql://",
            "libsql:///SECRET",
            "libsql://:80?authToken=SECRET",
            "libsql://h:0?authToken=SECRET",
            "libsql://h:65536?authToken=SECRET",
            "libsql://h:+80?authToken=SECRET",
            "libsql://h:?authToken=SECRET",
            "libsql://h:SECRET",
            "libsql://a:b:SECRET",
            "libsql://::1?authToken=SECRET",
            "libsql://[::1?authToken=SECRET",
            "libsql://[::1]x?authToken=SECRET",
            "libsql://[SECRET]",
            "libsql://user:SECRET@h?authToken=SECRET",
            "libsql://user:SECRET%2@h",
            "libsql://SECRET@h",
            "libsql://h/?SECRET",
            "libsql://h/?authToken=a&authToken=SECRET",
            "libsql://h?jwt=SECRET",
            "libsql://h?authToken=SECRET%2",
            "libsql://h?authToken=SECRET%ff",
            "libsql://h?tls=SECRET",
            "https://h?tls=0&authToken=SECRET",
            "http://h?tls=1&authToken=SECRET",
            "libsql://h SECRET",
            "libsql://h\nSECRET",
            "libsql://h\0SECRET",
            "libsql://SECRET_\u{e4}",
            "libsql://h/SECRET\"",
        ] {
            let error = Endpoint::parse(url).unwrap_err();
            assert_eq!(error.kind(), Kind::BadArgument, "{url}");
            let text = error.to_string();
            assert!(!text.contains("SECRET") && !text.contains('\n'), "{url}: {text}");
        }
    }
}
