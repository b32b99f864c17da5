//! TLS: a primary behind a relay that speaks it, with a certificate authority
//! that only `ca_file` makes known.

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::*;

/// Python's TLS in front of a real sqld: sqld itself offers none on its SQL
/// port.
struct TlsRelay {
    process: Child,
    port: u16,
}

impl TlsRelay {
    fn start(folder: &Path, primary: &Sqld) -> TlsRelay {
        let authority = authority();
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate =
            rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &authority.0).unwrap();
        std::fs::write(folder.join("ca.pem"), authority.1).unwrap();
        std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        let mut process = Command::new(tool("PYTHON", "venv/bin/python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tls_relay.py"))
            .arg(primary.address().to_string())
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

fn authority() -> (rcgen::Issuer<'static, rcgen::KeyPair>, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
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
