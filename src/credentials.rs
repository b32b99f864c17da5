//! Where the primary is, and which token goes there.
//!
//! A token from the environment or a file is bound to the server that is named
//! beside it: whoever writes the SQL chooses the URL, and must not choose who
//! gets the token. No token goes over plain HTTP to another machine unless the
//! caller says so.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::options::Options;
use crate::primary::{Endpoint, Proxy};
use crate::regular_file;
use crate::secret::Secret;

/// Tokens of the environment, the files that hold them instead, and the
/// variables that say where the primary is that they are for.
const VARIABLES: [Variables; 2] = [
    Variables { token: "REPLICA_TOKEN", file: Some("REPLICA_TOKEN_FILE"), url: "REPLICA_URL" },
    Variables { token: "TURSO_AUTH_TOKEN", file: None, url: "TURSO_DATABASE_URL" },
];

/// Hosts that the tokens of the environment may go to besides.
const HOSTS: &str = "REPLICA_HOSTS";

/// The key of a database that Turso keeps encrypted.
const ENCRYPTION_KEY: &str = "TURSO_DB_REMOTE_ENCRYPTION_KEY";

/// The certificate authorities of the machine, as OpenSSL and curl find them.
const CA_FILE: &str = "SSL_CERT_FILE";

/// Far more than a URL and a token take.
const MAX_FILE: u64 = 64 * 1024;

struct Variables {
    token: &'static str,
    file: Option<&'static str>,
    url: &'static str,
}

/// A primary, and the token to show it.
#[derive(Debug)]
pub struct Credentials {
    pub endpoint: Endpoint,
    pub token: Option<Secret>,
    /// The variable with a token that is for another server.
    pub withheld: Option<&'static str>,
}

/// Gives the value of a variable; a URL may hold a token, too.
type Environment<'e> = &'e dyn Fn(&str) -> Option<Secret>;

fn variable(name: &str) -> Option<Secret> {
    std::env::var(name).ok().map(Secret::from).filter(|value| !value.is_empty())
}

impl Credentials {
    /// For what a call said: a URL, or None for the one of the token file or
    /// the environment; a token, or None for the one of the URL, the token file
    /// or the environment.
    pub fn find(url: Option<&str>, token: Option<&str>, options: &Options) -> Result<Credentials> {
        find(url, token, options, &variable)
    }

    /// What an error of the primary means if a token was held back.
    pub fn explain(&self, error: Error) -> Error {
        match self.withheld {
            Some(name) if error.kind() == Kind::Auth => error.and(&format!(
                "the token of {name} was not sent, because neither {} nor {HOSTS} beside it names \
                 this primary",
                url_variable(name)
            )),
            _ => error,
        }
    }
}

/// The proxy of the options, or that of the environment.
pub fn proxy(endpoint: &Endpoint, options: &Options) -> Result<Option<Proxy>> {
    Proxy::find(endpoint, options.proxy.as_deref(), &variable)
}

/// The certificate authorities of the options, or those of the environment;
/// None for those that are built in.
pub fn ca_file(endpoint: &Endpoint, options: &Options) -> Option<PathBuf> {
    let of_machine =
        || variable(CA_FILE).filter(|_| endpoint.is_https()).map(|path| PathBuf::from(&*path));
    options.ca_file.clone().or_else(of_machine)
}

/// The key of the options, or that of the environment if the environment names
/// this primary, too.
pub fn encryption_key(endpoint: &Endpoint, options: &Options) -> Result<Option<Secret>> {
    let key = options.encryption_key.clone().or_else(|| {
        let mut named = VARIABLES.iter().filter_map(|variables| variable(variables.url));
        let is_named = named
            .any(|url| Endpoint::parse(&url).is_ok_and(|beside| beside.is_same_server(endpoint)));
        is_named.then(|| variable(ENCRYPTION_KEY)).flatten()
    });
    if key.is_some() {
        check_way(endpoint, options)?;
    }
    Ok(key)
}

/// Refuses to show a token to everybody on the way.
pub fn check_way(endpoint: &Endpoint, options: &Options) -> Result<()> {
    check_way_in(endpoint, options, &variable)
}

fn check_way_in(
    endpoint: &Endpoint,
    options: &Options,
    environment: Environment<'_>,
) -> Result<()> {
    if endpoint.is_https() {
        return Ok(());
    }
    // Whoever writes the SQL may name a proxy, and must not learn the token by
    // naming one of theirs.
    if let Some(proxy) = Proxy::find(endpoint, options.proxy.as_deref(), environment)? {
        let text = format!(
            "the token would go over plain HTTP to the proxy {proxy}, which could read it; use https:// or \
             libsql://, or no proxy with '{{\"proxy\": \"none\"}}'"
        );
        return Err(Error::new(Kind::BadArgument, text));
    }
    if endpoint.is_loopback() || options.token_over_http {
        return Ok(());
    }
    let text = format!(
        "the token would go to {} over plain HTTP, where anybody on the way can read it; use \
         https:// or libsql://, or allow it with '{{\"token_over_http\": true}}'",
        endpoint.authority()
    );
    Err(Error::new(Kind::BadArgument, text))
}

fn find(
    url: Option<&str>,
    token: Option<&str>,
    options: &Options,
    environment: Environment<'_>,
) -> Result<Credentials> {
    let in_file = options.token_file.as_deref().map(two_lines).transpose()?;
    let mut endpoint = match (url, &in_file) {
        (Some(url), _) => Endpoint::parse(url)?,
        (None, Some((endpoint, _))) => endpoint.clone(),
        (None, None) => endpoint_of(environment)?,
    };
    let in_url = endpoint.take_token();
    let mut withheld = None;
    let token = match (token.map(Secret::from).or(in_url), in_file) {
        (Some(token), _) => Some(token),
        (None, Some((bound_to, token))) if bound_to.is_same_server(&endpoint) => Some(token),
        (None, Some((bound_to, _))) => {
            let text = format!(
                "option token_file: its token is for {}, not for {}",
                bound_to.authority(),
                endpoint.authority()
            );
            return Err(Error::new(Kind::BadArgument, text));
        }
        (None, None) => {
            let (token, held) = token_of(&endpoint, environment)?;
            withheld = held;
            token
        }
    };
    if token.is_some() {
        check_way_in(&endpoint, options, environment)?;
    }
    Ok(Credentials { endpoint, token, withheld })
}

/// The primary that the environment names.
fn endpoint_of(environment: Environment<'_>) -> Result<Endpoint> {
    for Variables { url, .. } in VARIABLES {
        if let Some(text) = environment(url) {
            return Endpoint::parse(&text).map_err(|error| error.context(url));
        }
    }
    let text = "there is no URL of a primary: give it as the first argument, or in the environment \
                variable REPLICA_URL";
    Err(Error::new(Kind::BadArgument, text))
}

/// The token of the environment for the primary, or the variable of one that is
/// not for it.
fn token_of(
    endpoint: &Endpoint,
    environment: Environment<'_>,
) -> Result<(Option<Secret>, Option<&'static str>)> {
    let listed = environment(HOSTS).is_some_and(|hosts| {
        let separator = |c: char| c == ',' || c.is_whitespace();
        hosts.split(separator).any(|name| endpoint.is_named(name))
    });
    let mut withheld = None;
    for variables in VARIABLES {
        let file = variables.file.and_then(environment);
        let name = match (environment(variables.token), &file, variables.file) {
            (Some(_), ..) => variables.token,
            (None, Some(_), Some(name)) => name,
            _ => continue,
        };
        let beside = environment(variables.url).and_then(|url| Endpoint::parse(&url).ok());
        if !listed && !beside.is_some_and(|beside| beside.is_same_server(endpoint)) {
            withheld = withheld.or(Some(name));
            continue;
        }
        let token = match (environment(variables.token), file) {
            (None, Some(file)) => {
                let text = secret(Path::new(&*file)).map_err(|error| error.context(name))?;
                Some(text.trim().into())
            }
            (token, _) => token,
        };
        return Ok((token.filter(|token: &Secret| !token.is_empty()), None));
    }
    Ok((None, withheld))
}

fn url_variable(token: &str) -> &'static str {
    let of_token = |variables: &&Variables| variables.token == token;
    VARIABLES.iter().find(of_token).map_or(VARIABLES[0].url, |variables| variables.url)
}

/// The primary and the token of a token file. Both must be in it: otherwise
/// whoever writes the SQL could have any secret file sent to any server.
fn two_lines(path: &Path) -> Result<(Endpoint, Secret)> {
    let read = || {
        let text = secret(path)?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (url, token) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        match Endpoint::parse(url) {
            Ok(endpoint) if !token.is_empty() && lines.next().is_none() => {
                Ok((endpoint, token.into()))
            }
            _ => Err(bad("it must have two lines: the URL of the primary, and the token")),
        }
    };
    read().map_err(|error| error.context("option token_file"))
}

/// The text of a file that nobody else may read.
fn secret(path: &Path) -> Result<Secret> {
    // One sentence for all: it says nothing about files to whoever asks.
    let unreadable = || bad("it cannot be read as a file");
    let (file, metadata) = regular_file::open(path).map_err(|_| unreadable())?;
    if metadata.len() > MAX_FILE {
        return Err(unreadable());
    }
    if is_open_to_others(&metadata) {
        return Err(bad("others may read or change it; make it yours alone with chmod 600"));
    }
    // Room for all of it: a text that grows leaves what it held before.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize));
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|_| unreadable())?;
    std::str::from_utf8(&bytes).map(Secret::from).map_err(|_| unreadable())
}

/// A group may read it: that is how a service is given a secret.
#[cfg(unix)]
fn is_open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o027 != 0
}

/// Rights are not looked at where they are not bits.
#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

fn bad(text: &str) -> Error {
    Error::new(Kind::BadArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(url: Option<&str>, environment: &[(&str, &str)]) -> Result<Credentials> {
        let options = Options::default();
        find(url, None, &options, &|name| {
            let given = environment.iter().find(|(given, _)| *given == name);
            given.map(|(_, value)| Secret::from(*value))
        })
    }

    #[test]
    fn a_token_of_the_environment_goes_where_its_url_leads() {
        let beside = [
            ("REPLICA_TOKEN", "R"),
            ("REPLICA_URL", "libsql://good.io"),
            ("TURSO_AUTH_TOKEN", "T"),
        ];
        for (url, environment, expected, withheld) in [
            (Some("https://good.io"), &beside[..], Some("R"), None),
            (Some("https://good.io/path"), &beside, Some("R"), None),
            (None, &beside, Some("R"), None),
            (Some("https://evil.io"), &beside, None, Some("REPLICA_TOKEN")),
            (Some("https://good.io:8443"), &beside, None, Some("REPLICA_TOKEN")),
            // Not over plain HTTP, whatever the option says: another scheme.
            (Some("http://good.io"), &beside, None, Some("REPLICA_TOKEN")),
            (Some("https://any.io"), &beside[..1], None, Some("REPLICA_TOKEN")),
            (Some("https://any.io"), &beside[2..], None, Some("TURSO_AUTH_TOKEN")),
            // The URL of one does not bind the other.
            (Some("https://good.io"), &beside[1..], None, Some("TURSO_AUTH_TOKEN")),
            (Some("https://any.io"), &[], None, None),
        ] {
            let found = token(url, environment).unwrap();
            assert_eq!(found.token.as_deref(), expected, "{url:?} {environment:?}");
            assert_eq!(found.withheld, withheld, "{url:?} {environment:?}");
        }
    }

    #[test]
    fn hosts_that_are_listed_get_the_token_too() {
        let environment =
            [("REPLICA_TOKEN", "R"), ("REPLICA_HOSTS", "a.io, *.turso.io\nb.io:8443")];
        for (url, expected) in [
            ("https://a.io", true),
            ("https://db.turso.io", true),
            ("https://b.io:8443", true),
            ("https://b.io", false),
            ("https://turso.io.evil.io", false),
        ] {
            let found = token(Some(url), &environment).unwrap();
            assert_eq!(found.token.is_some(), expected, "{url}");
        }
        // A list of hosts says nothing of TLS.
        let error = token(Some("http://a.io"), &environment).unwrap_err();
        assert!(error.to_string().contains("plain HTTP"), "{error}");
    }

    #[test]
    fn a_url_of_the_environment_is_needed_where_none_is_given() {
        assert!(token(None, &[]).unwrap_err().to_string().contains("REPLICA_URL"));
        let error = token(None, &[("REPLICA_URL", "SECRET")]).unwrap_err().to_string();
        assert!(error.starts_with("REPLICA_URL: the URL") && !error.contains("SECRET"), "{error}");
        let turso = [("TURSO_DATABASE_URL", "libsql://t.io"), ("TURSO_AUTH_TOKEN", "T")];
        let found = token(None, &turso).unwrap();
        assert_eq!(
            (found.endpoint.base(), found.token.as_deref()),
            ("https://t.io".into(), Some("T"))
        );
    }
}
