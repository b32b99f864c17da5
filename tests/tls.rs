//! TLS: a primary behind a relay that speaks it, with a certificate authority
//! that only `ca_file` makes known.

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::net::open_proxy;
use common::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, SanType};

/// Python's TLS in front of a real sqld: sqld itself offers none on its SQL
/// port.
struct TlsRelay {
    process: Child,
    port: u16,
}

impl TlsRelay {
    /// With a certificate that the authority of `ca.pem` in `folder` gave it.
    fn start(folder: &Path, primary: &Sqld) -> TlsRelay {
        let authority = authority();
        std::fs::write(folder.join("ca.pem"), authority.1).unwrap();
        let identity = identity(&authority.0, |_| {});
        TlsRelay::as_identity(folder, &identity, primary.address())
    }

    /// One that shows this certificate and has this key.
    fn as_identity(folder: &Path, identity: &[String; 2], behind: SocketAddr) -> TlsRelay {
        std::fs::write(folder.join("cert.pem"), &identity[0]).unwrap();
        std::fs::write(folder.join("key.pem"), &identity[1]).unwrap();
        let mut process = Command::new(tool("PYTHON", "venv/bin/python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tls_relay.py"))
            .arg(behind.to_string())
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        TlsRelay { process, port: line.trim().parse().unwrap() }
    }
}

impl Drop for TlsRelay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

type Issuer = rcgen::Issuer<'static, rcgen::KeyPair>;

/// A certificate for this machine, altered, and its key, as PEM.
fn identity(issuer: &Issuer, alter: impl Fn(&mut CertificateParams)) -> [String; 2] {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = params(alter);
    [params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem()]
}

fn params(alter: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    alter(&mut params);
    params
}

fn authority() -> (Issuer, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (rcgen::Issuer::new(params, key), pem)
}

#[test]
fn a_private_authority_is_trusted_through_ca_file_and_not_without() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES ('secret')");
    let (folder, db) = empty_place();
    let relay = TlsRelay::start(folder.path(), &sqld);
    let mut shell = Shell::loaded(&db);
    let attach = |url: String, ca: &str| {
        let options = if ca.is_empty() {
            "{}".to_owned()
        } else {
            format!(r#"{{"ca_file": "{ca}", "new_primary": true}}"#)
        };
        format!("SELECT replica_attach('{url}', NULL, '{options}') IS NOT NULL")
    };
    let ca = folder.path().join("ca.pem").display().to_string();

    let error = shell.error(&attach(format!("libsql://localhost:{}", relay.port), ""));
    assert!(error.contains("cannot set up TLS") && error.contains("ca_file"), "{error}");

    for url in
        [format!("libsql://localhost:{}", relay.port), format!("https://127.0.0.1:{}", relay.port)]
    {
        assert_eq!(shell.run(&attach(url, &ca)), "1");
        assert_eq!(shell.run("SELECT x FROM t LIMIT 1"), "secret");
        let written = shell.json("SELECT replica_write('INSERT INTO t VALUES (?)', 'more')");
        assert_eq!(written["synced"], true);
        assert_eq!(shell.run("SELECT replica_detach()"), "1");
    }
    assert_replica_equals_primary(&db, &sqld);
}

/// TLS has buffers of its own.
#[test]
fn nothing_of_a_token_is_left_after_a_detach() {
    const TOKEN: &str = "a-token-that-stands-nowhere-but-in-its-file-0123456789";
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (folder, db) = empty_place();
    let relay = TlsRelay::start(folder.path(), &sqld);
    let (file, ca) = (folder.path().join("token"), folder.path().join("ca.pem"));
    std::fs::write(&file, format!("https://127.0.0.1:{}\n{TOKEN}\n", relay.port)).unwrap();
    assert!(Command::new("chmod").arg("600").arg(&file).status().unwrap().success());
    let mut shell = Shell::loaded(&db);
    let (file, ca) = (file.display(), ca.display());
    shell.run(&format!(
        r#"SELECT replica_attach(NULL, NULL, '{{"token_file": "{file}", "ca_file": "{ca}"}}')"#
    ));
    shell.run("SELECT replica_write('INSERT INTO t VALUES (1)')");
    if shell.copies_in_memory(TOKEN).is_none() {
        println!("skipped: the memory of a process cannot be read here");
        return;
    }
    assert_ne!(shell.copies_in_memory(TOKEN), Some(0), "it is not where this test looks");
    shell.run("SELECT replica_detach()");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while shell.copies_in_memory(TOKEN) != Some(0) {
        assert!(std::time::Instant::now() < deadline, "{:?}", shell.copies_in_memory(TOKEN));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_plain_url_to_a_tls_port_and_the_other_way_round_fail_in_one_sentence() {
    let sqld = Sqld::start();
    let (folder, db) = empty_place();
    let relay = TlsRelay::start(folder.path(), &sqld);
    let mut shell = Shell::loaded(&db);
    for url in [format!("http://127.0.0.1:{}", relay.port), format!("https://{}", sqld.address())] {
        let error =
            shell.error(&format!("SELECT replica_attach('{url}', NULL, '{{\"timeout\": 5}}')"));
        assert!(error.contains("replica_attach: first sync: ") && !error.contains('\n'), "{error}");
    }
}

/// Whoever cannot show that he is the primary gets no request, so no token.
#[test]
fn a_server_that_cannot_prove_who_it_is_sees_no_request_and_no_token() {
    let good = authority();
    let stranger = authority();
    let self_signed = |alter: fn(&mut CertificateParams)| {
        let key = rcgen::KeyPair::generate().unwrap();
        [params(alter).self_signed(&key).unwrap().pem(), key.serialize_pem()]
    };
    let cases = [
        ("sound", identity(&good.0, |_| {}), ""),
        (
            "expired",
            identity(&good.0, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)),
            "expired",
        ),
        (
            "not yet valid",
            identity(&good.0, |params| params.not_before = rcgen::date_time_ymd(2090, 1, 1)),
            "not valid yet",
        ),
        (
            "another host's",
            identity(&good.0, |params| {
                params.subject_alt_names =
                    vec![SanType::DnsName("other.example".try_into().unwrap())];
            }),
            "not valid for",
        ),
        (
            "the host as common name only",
            identity(&good.0, |params| {
                params.subject_alt_names.clear();
                params.distinguished_name = DistinguishedName::new();
                params.distinguished_name.push(DnType::CommonName, "localhost");
            }),
            "not valid for",
        ),
        (
            "for clients only",
            identity(&good.0, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            "certificate",
        ),
        ("self-signed", self_signed(|_| {}), "certificate"),
        (
            "a self-signed authority",
            self_signed(|params| {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }),
            "certificate",
        ),
        ("of an unknown authority", identity(&stranger.0, |_| {}), "certificate"),
    ];
    for (name, identity, text) in cases {
        let (folder, db) = empty_place();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, &good.1).unwrap();
        let curious = FakeServer::always("401 Unauthorized", "content-type: text/plain\r\n", "no");
        let relay = TlsRelay::as_identity(folder.path(), &identity, curious.address());
        let mut shell = Shell::loaded(&db);
        for options in [format!(r#"{{"ca_file": "{}"}}"#, ca.display()), "{}".to_owned()] {
            let url = format!("https://localhost:{}", relay.port);
            let error =
                shell.error(&format!("SELECT replica_attach('{url}', 'TOKEN', '{options}')"));
            println!("{name}: {error}");
            if text.is_empty() && options != "{}" {
                let shown = curious.requests();
                let token = shown.first().and_then(|request| request.header("authorization"));
                assert_eq!(token, Some("Bearer TOKEN"), "it must be able to be seen at all");
                break;
            }
            assert!(error.contains("cannot set up TLS"), "{name}: {error}");
            assert!(options == "{}" || error.contains(text), "{name}: {error}");
            assert!(curious.requests().is_empty(), "{name}: {:?}", curious.requests());
        }
    }
}

#[test]
fn a_plain_server_where_tls_was_asked_for_sees_no_token() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let read = stream.read(&mut piece).unwrap();
        heard.extend_from_slice(&piece[..read]);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        while let Ok(read @ 1..) = stream.read(&mut piece) {
            heard.extend_from_slice(&piece[..read]);
        }
        heard
    });
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let url = format!("https://127.0.0.1:{port}");
    let error = shell.error(&format!("SELECT replica_attach('{url}', 'SECRETTOKEN')"));
    assert!(error.contains("cannot set up TLS"), "{error}");
    let heard = heard.join().unwrap();
    assert_eq!(heard.first(), Some(&0x16), "a handshake and nothing else");
    assert!(!heard.windows(11).any(|bytes| bytes == b"SECRETTOKEN"));
}

/// A proxy sees where to, and nothing of what for.
#[test]
fn a_proxy_in_between_sees_neither_token_nor_sql() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (folder, db) = empty_place();
    let relay = TlsRelay::start(folder.path(), &sqld);
    let (proxy, seen) = open_proxy();
    let ca = folder.path().join("ca.pem").display().to_string();
    let mut shell = Shell::loaded(&db);
    let port = relay.port;
    let options = format!(r#"{{"ca_file": "{ca}", "proxy": "{}"}}"#, proxy.url());
    shell.json(&format!(
        "SELECT replica_attach('https://localhost:{port}', 'SECRETTOKEN', '{options}')"
    ));
    let written = shell.json("SELECT replica_write('INSERT INTO t VALUES (?)', 'SECRETTEXT')");
    assert_eq!(written["synced"], true);
    assert_replica_equals_primary(&db, &sqld);
    let requests = proxy.requests();
    assert!(!requests.is_empty());
    for request in requests {
        assert_eq!(
            (request.method.as_str(), request.path),
            ("CONNECT", format!("localhost:{port}"))
        );
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["host", "user-agent", "proxy-connection"]);
    }
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 1000 && !seen.windows(6).any(|bytes| bytes == b"SECRET"));
}

/// TLS to the proxy, and TLS to the primary within it.
#[test]
fn a_proxy_can_be_spoken_to_in_tls_and_has_to_prove_who_it_is() {
    let Some(plain) = common::front::Front::tinyproxy("BasicAuth user pass") else { return };
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (folder, db) = empty_place();
    let authority = authority();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &authority.1).unwrap();
    let identity = identity(&authority.0, |_| {});
    let proxy = TlsRelay::as_identity(folder.path(), &identity, plain.address());
    let relay = TlsRelay::as_identity(folder.path(), &identity, sqld.address());
    let mut shell = Shell::loaded(&db);
    let attach = |ca: &str| {
        format!(
            "SELECT replica_attach('https://localhost:{}', NULL,
             '{{\"proxy\": \"https://user:pass@localhost:{}\"{ca}}}')",
            relay.port, proxy.port
        )
    };
    let error = shell.error(&attach(""));
    assert!(error.contains("through the proxy localhost") && error.contains("TLS"), "{error}");
    shell.json(&attach(&format!(r#", "ca_file": "{}""#, ca.display())));
    let written = shell.json("SELECT replica_write('INSERT INTO t VALUES (1)')");
    assert_eq!(written["synced"], true);
    assert!(plain.log().contains("CONNECT localhost"), "{}", plain.log());
    assert_replica_equals_primary(&db, &sqld);
}

/// As OpenSSL and curl are told of an authority, for a machine as a whole.
#[test]
fn the_environment_names_the_authorities_where_no_option_does() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (folder, db) = empty_place();
    let relay = TlsRelay::start(folder.path(), &sqld);
    for (file, plain, works) in
        [("ca.pem", false, true), ("none.pem", false, false), ("none.pem", true, true)]
    {
        let url = match plain {
            true => sqld.url(),
            false => format!("https://localhost:{}", relay.port),
        };
        let mut command = shell::command(&db);
        command.env("SSL_CERT_FILE", folder.path().join(file));
        let options = r#"{"new_primary": true}"#;
        let script = format!(
            "{}SELECT replica_attach('{url}', NULL, '{options}') IS NOT NULL;\n",
            shell::load()
        );
        let output = shell::shell_in(command, &script);
        assert_eq!(output.stdout.trim() == "1", works, "{file} {output:?}");
        assert!(works || output.stderr.contains("none.pem"), "{output:?}");
    }
}

/// A way that loses large packets takes a connection and lets nothing of TLS
/// through. Here it is the address of IPv4, and that of IPv6 works.
#[test]
fn an_address_where_tls_comes_to_nothing_is_left_for_another_one() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (folder, db) = empty_place();
    let good = TlsRelay::start(folder.path(), &sqld);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let behind = SocketAddr::from(([127, 0, 0, 1], good.port));
    let Some(()) = common::net::relay(&format!("[::1]:{port}"), behind) else { return };
    let ca = folder.path().join("ca.pem").display().to_string();
    let mut shell = Shell::loaded(&db);
    let started = std::time::Instant::now();
    let options = format!(r#"{{"ca_file": "{ca}", "timeout": 300}}"#);
    shell.json(&format!("SELECT replica_attach('https://localhost:{port}', NULL, '{options}')"));
    let written = shell.json("SELECT replica_write('INSERT INTO t VALUES (1)')");
    assert_eq!(written["synced"], true);
    // The first one was asked, and not waited for as long as it may take.
    silent.set_nonblocking(true).unwrap();
    assert!(silent.accept().is_ok());
    assert!(started.elapsed() < Duration::from_secs(100), "{:?}", started.elapsed());
    assert_replica_equals_primary(&db, &sqld);
    // One that is all there is has all the time there is, and is named.
    let (_folder_2, db) = empty_place();
    let attach =
        format!(r#"SELECT replica_attach('https://127.0.0.1:{port}', NULL, '{{"timeout": 1}}')"#);
    let error = Shell::loaded(&db).error(&attach);
    assert!(error.contains("TLS was not set up within 1 s"), "{error}");
}

/// The other address refuses, so there is nothing better: the call ends in its
/// time, and says why.
#[test]
fn an_address_without_tls_is_not_asked_for_ever_where_the_other_one_refuses() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let attach =
        format!(r#"SELECT replica_attach('https://localhost:{port}', NULL, '{{"timeout": 4}}')"#);
    let error = shell.error(&attach);
    assert!(error.contains("TLS was not set up within 4 s"), "{error}");
    // It was left once at most.
    silent.set_nonblocking(true).unwrap();
    assert!((1..=2).contains(&silent.incoming().take_while(Result::is_ok).count()));
}
