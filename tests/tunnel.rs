//! Primaries that only a proxy leads to: a real tinyproxy, and *(simulated)*
//! proxies that refuse, break off or never come to an end.

mod common;

use std::io::Write as _;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use common::front::Front;
use common::net::{free_address, open_proxy};
use common::*;

const COUNT: &str = "SELECT count(*) FROM t";

fn primary() -> Sqld {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    sqld
}

fn attach(url: &str, proxy: &str, more: &str) -> String {
    format!("SELECT replica_attach('{url}', NULL, '{{\"proxy\": \"{proxy}\"{more}}}')")
}

#[test]
fn pulls_writes_and_streams_go_through_a_proxy_with_a_password() {
    let sqld = primary();
    let Some(proxy) = Front::tinyproxy("BasicAuth user pa_55") else { return };
    let (_folder, db) = empty_place();
    let mut live = Shell::loaded(&db);
    let named = format!("http://user:pa%5F55@{}", proxy.address());
    live.json(&attach(&sqld.url(), &named, r#", "live": true"#));
    let (_folder_2, db_2) = empty_place();
    let mut writer = Shell::loaded(&db_2);
    writer.json(&attach(&sqld.url(), &named, ""));
    for count in 1..=5 {
        let report = writer.json("SELECT replica_write('INSERT INTO t(x) VALUES (1)')");
        assert_eq!(report["synced"], true, "{report}");
        assert_eq!(writer.run(COUNT), count.to_string());
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while live.run(COUNT) != "5" {
        assert!(Instant::now() < deadline, "{}", live.run("SELECT * FROM replica_status"));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_replica_equals_primary(&db, &sqld);
    assert!(proxy.log().contains(&format!("CONNECT {}", sqld.address())), "{}", proxy.log());
    for shown in ["* FROM replica_status", "replica_debug()"] {
        let text = writer.run(&format!("SELECT {shown}"));
        assert!(!text.contains("pa_55") && !text.contains("pa%5F55"), "{text}");
    }
}

#[test]
fn a_proxy_that_wants_a_password_gets_the_right_one_or_is_named() {
    let sqld = primary();
    let Some(proxy) = Front::tinyproxy("BasicAuth user pa_55") else { return };
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let address = proxy.address();
    let error = shell.error(&attach(&sqld.url(), &format!("http://{address}"), ""));
    let expected = format!(
        "cannot reach the primary at {} through the proxy {address} (option proxy): it wants a \
         user name and a password; put them before the host of its URL (407)",
        sqld.address()
    );
    assert!(error.ends_with(&expected), "{error}");
    let error = shell.error(&attach(&sqld.url(), &format!("http://user:SECRET@{address}"), ""));
    assert!(error.contains("does not accept the user name and the password"), "{error}");
    assert!(!error.contains("SECRET"), "{error}");
}

/// 0.0.0.0 is this machine, and no address of the kind that is never asked for
/// by way of a proxy.
#[test]
fn the_environment_names_a_proxy_for_what_is_elsewhere_and_exceptions() {
    let sqld = Sqld::start().at_localhost();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    let Some(proxy) = Front::tinyproxy("") else { return };
    let port = sqld.address().port();
    let named = format!("http://{}", proxy.address());
    let attached = |url: &str, variables: &[(&str, &str)]| {
        let (_folder, db) = empty_place();
        let before = proxy.log().matches("CONNECT 0.0.0.0").count();
        let mut command = shell::command(&db);
        command.env("no_proxy", "").envs(variables.iter().copied());
        let script = format!("{}SELECT replica_attach('{url}') IS NOT NULL;\n", shell::load());
        let output = shell::shell_in(command, &script);
        assert_eq!(output.stdout.trim(), "1", "{url} {variables:?} {output:?}");
        proxy.log().matches("CONNECT 0.0.0.0").count() > before
    };
    let elsewhere = format!("http://0.0.0.0:{port}");
    let here = format!("http://127.0.0.1:{port}");
    for (url, variables, by_proxy) in [
        (&elsewhere, vec![("http_proxy", named.as_str())], true),
        (&elsewhere, vec![("HTTP_PROXY", &named)], true),
        (&elsewhere, vec![("ALL_PROXY", &named)], true),
        (&elsewhere, vec![("https_proxy", &named)], false),
        (&elsewhere, vec![("all_proxy", &named), ("NO_PROXY", "x.io,0.0.0.0")], false),
        (&elsewhere, vec![("http_proxy", &named), ("no_proxy", "*")], false),
        // As a header of a request would set it.
        (&elsewhere, vec![("HTTP_PROXY", &named), ("REQUEST_METHOD", "GET")], false),
        (&here, vec![("all_proxy", &named), ("http_proxy", &named)], false),
    ] {
        assert_eq!(attached(url, &variables), by_proxy, "{url} {variables:?}");
    }
}

/// Nobody is asked past a proxy that somebody meant to be used.
#[test]
fn a_variable_that_names_no_http_proxy_is_an_error_and_not_left_out() {
    for (variable, value, text) in [
        (
            "ALL_PROXY",
            "socks5://127.0.0.1:1080",
            "ALL_PROXY: the URL of the proxy cannot be used: a SOCKS proxy",
        ),
        ("https_proxy", "http://", "https_proxy: the URL of the proxy cannot be used"),
    ] {
        let (_folder, db) = empty_place();
        let mut command = shell::command(&db);
        command.env("no_proxy", "").env(variable, value);
        let script = format!("{}SELECT replica_attach('https://db.test');\n", shell::load());
        let output = shell::shell_in(command, &script);
        assert!(output.stderr.contains(text), "{output:?}");
    }
}

#[test]
fn what_a_proxy_answers_instead_is_told_as_what_it_is() {
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    for (status, text) in [
        ("403 Filtered", "it opens no way there; allow CONNECT to this host and port in it"),
        ("405 Method Not Allowed", "it opens no way there"),
        ("407 Proxy Authentication Required", "it wants a user name and a password"),
        ("502 Bad Gateway", "it cannot reach the primary; check that it runs, and the URL (502)"),
        ("302 Found", "this does not look like a proxy: check its URL (302)"),
        ("404 Not Found", "this does not look like a proxy: check its URL (404)"),
    ] {
        let proxy = FakeServer::always(status, "", "<html>SECRET</html>");
        let error = shell.error(&attach("https://db.test", &proxy.url(), ""));
        let begin = format!(
            "replica_attach: first sync: cannot reach the primary at db.test through the proxy {} \
             (option proxy): ",
            proxy.address()
        );
        let cause = error.strip_prefix(&begin).unwrap_or_else(|| panic!("{error}"));
        assert!(cause.starts_with(text) && !cause.contains("SECRET"), "{error}");
        assert!(proxy.requests().iter().all(|request| request.path == "db.test:443"));
    }
}

#[test]
fn a_proxy_that_is_away_breaks_off_or_never_ends_is_named_in_bounded_time() {
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let nobody = format!("http://{}", free_address());
    let closes = FakeServer::talking(|_, stream| stream.shutdown(Shutdown::Both));
    let half = FakeServer::talking(|_, stream| stream.write_all(b"HTTP/1.1 200 OK\r\n"));
    let silent = FakeServer::talking(|_, _| {
        std::thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    let trickles = FakeServer::talking(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ")?;
        loop {
            stream.write_all(b"y")?;
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let endless = FakeServer::talking(|_, stream| {
        loop {
            stream.write_all(&[b'x'; 4096])?;
        }
    });
    let other = FakeServer::talking(|_, stream| stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n"));
    for (proxy, text) in [
        (&nobody, "connection refused; check that it runs, and its URL"),
        (&closes.url(), "closed"),
        (&half.url(), "closed"),
        (&silent.url(), "it opened no way within 1 s; check its URL"),
        (&trickles.url(), "it opened no way within 1 s; check its URL"),
        (&endless.url(), "check its URL"),
        (&other.url(), "it does not answer with HTTP"),
    ] {
        let started = Instant::now();
        let error = shell.error(&attach("https://db.test", proxy, r#", "timeout": 1"#));
        assert!(error.contains("through the proxy ") && error.contains(text), "{error}");
        assert!(started.elapsed() < Duration::from_secs(15), "{proxy}: {:?}", started.elapsed());
    }
}

/// The proxy is not the primary: what is for it goes to it alone.
#[test]
fn no_token_goes_through_a_proxy_in_the_clear() {
    let (proxy, seen) = open_proxy();
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    for more in ["", r#", "token_over_http": true"#] {
        let statement = attach(&sqld.url(), &proxy.url(), more).replace("NULL", "'SECRET'");
        let error = shell.error(&statement);
        assert!(error.contains("over plain HTTP to the proxy"), "{error}");
        let key = attach(&sqld.url(), &proxy.url(), &format!(r#", "encryption_key": "K"{more}"#));
        assert!(shell.error(&key).contains("over plain HTTP to the proxy"));
    }
    assert!(proxy.requests().is_empty());
    shell.json(&attach(&sqld.url(), &proxy.url(), ""));
    let error = shell.error("SELECT replica_set_token('SECRET')");
    assert!(error.contains("over plain HTTP to the proxy"), "{error}");
    shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (1)')");
    let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
    assert!(seen.contains("INSERT INTO t") && !seen.contains("SECRET"), "{seen}");
}

#[test]
fn a_way_that_is_cut_is_opened_anew_and_no_write_happens_twice() {
    let sqld = primary();
    let (proxy, _) = open_proxy();
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.json(&attach(&sqld.url(), &proxy.url(), ""));
    shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (1)')");
    let opened = proxy.requests().len();
    let mut sqld = sqld;
    sqld.stop();
    sqld.resume();
    let report = shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (2)')");
    assert_eq!(report["synced"], true, "{report}");
    assert_eq!(sqld.scalar(COUNT), "2");
    assert!(proxy.requests().len() > opened);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_proxy_that_is_none_is_refused_before_anything_is_sent() {
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    for (proxy, text) in [
        ("socks5h://user:SECRET@127.0.0.1:1080", "a SOCKS proxy is not supported"),
        ("ftp://user:SECRET@127.0.0.1", "its scheme is neither http nor https"),
        ("http://user:SECRET@", "it has no host"),
        ("", "must be the URL of a proxy, or \"none\""),
    ] {
        let error = shell.error(&attach("https://db.test", proxy, ""));
        assert!(error.contains("option proxy: ") && error.contains(text), "{error}");
        assert!(!error.contains("SECRET"), "{error}");
    }
}
