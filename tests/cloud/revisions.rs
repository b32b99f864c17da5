//! Answers about states of the database that the simulated cloud does not give
//! by itself, and what becomes of a replica then.

use std::sync::{Arc, Mutex};

use super::common::net::http_answer;
use super::common::pull_updates::{header, page, page_1};
use super::common::*;

/// What the simulated cloud does now.
#[derive(Clone)]
struct Cloud {
    /// The name of its state: JSON, and generations count down.
    revision: String,
    /// A database of one page, or of none.
    empty: bool,
    /// Refuses a pull that names a revision like this.
    refusal: Option<(&'static str, &'static str)>,
    /// Sends nothing new to a pull that names a revision.
    nothing_new: bool,
}

fn revision(generation: u64, fragment: u64) -> String {
    format!(r#"{{"generation":{generation},"wal_fragment_no":{fragment}}}"#)
}

const NOW: u64 = 999_999_999_999_999_998;

impl Cloud {
    fn at(revision: String) -> Cloud {
        Cloud { revision, empty: false, refusal: None, nothing_new: false }
    }
}

/// A server that behaves so; gRPC is refused as the newer platform does it, and
/// PRAGMAs that the cloud does not know are errors.
fn serve(cloud: Cloud) -> (FakeServer, Arc<Mutex<Cloud>>) {
    let cloud = Arc::new(Mutex::new(cloud));
    let (behaviour, image) = (cloud.clone(), page_1());
    let json = "content-type: application/json\r\n";
    let server = FakeServer::start(move |request| {
        let cloud = behaviour.lock().unwrap().clone();
        // Field 3 with bytes: a revision is named.
        let names = request.body.first() == Some(&0x1a);
        match (request.path.as_str(), cloud.refusal) {
            ("/pull-updates", Some((status, body))) if names => {
                http_answer(status, json, body.as_bytes())
            }
            ("/pull-updates", _) => {
                let size = u8::from(!cloud.empty);
                let mut body = header(&cloud.revision, size, &[]);
                if !(cloud.empty || names && cloud.nothing_new) {
                    body.extend(page(0, &image));
                }
                http_answer("200 OK", "content-type: application/protobuf\r\n", &body)
            }
            ("/v2/pipeline" | "/v3/pipeline", _) => {
                let error = r#"{"baton":null,"base_url":null,"results":[{"type":"error",
                    "error":{"message":"not supported","code":"SQL_NOT_SUPPORTED"}}]}"#;
                http_answer("200 OK", json, error.as_bytes())
            }
            (path, _) => {
                let error = format!(r#"{{"error":"route not found: {path:?}"}}"#);
                http_answer("404 Not Found", json, error.replace("\\", "").as_bytes())
            }
        }
    });
    (server, cloud)
}

fn attached(server: &FakeServer) -> (TempDir, std::path::PathBuf, Shell) {
    let (folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let options = r#"{"protocol": "turso"}"#;
    shell.json(&format!("SELECT replica_attach('{}', NULL, '{options}')", server.url()));
    (folder, db, shell)
}

/// How often all there is was asked for.
fn whole_pulls(server: &FakeServer) -> usize {
    let requests = server.requests();
    requests.iter().filter(|r| r.path == "/pull-updates" && r.body.is_empty()).count()
}

/// A generation that was collected, or a database that was made anew.
#[test]
fn a_revision_that_the_server_refuses_costs_a_pull_of_everything_and_heals() {
    for (status, body) in [
        ("400 Bad Request", r#"{"error":"unknown revision"}"#),
        ("404 Not Found", r#"{"error":"generation not found"}"#),
        ("409 Conflict", "{}"),
        ("410 Gone", r#"{"error":"generation is gone"}"#),
        ("422 Unprocessable Entity", "{}"),
    ] {
        let (server, cloud) = serve(Cloud::at(revision(NOW, 85)));
        let (_folder, db, mut shell) = attached(&server);
        assert_eq!(whole_pulls(&server), 1);
        *cloud.lock().unwrap() =
            Cloud { refusal: Some((status, body)), ..Cloud::at(revision(NOW - 1, 1)) };
        let synced = shell.sync();
        assert_eq!(synced["reset"], false, "{status}: {synced}");
        assert_eq!(whole_pulls(&server), 2, "{status}");
        cloud.lock().unwrap().refusal = None;
        cloud.lock().unwrap().nothing_new = true;
        assert_eq!(shell.sync()["frames_synced"], 0, "{status}");
        assert_eq!(whole_pulls(&server), 2, "the new name is known");
        assert_eq!(sql(&db, "PRAGMA integrity_check"), "ok");
    }
}

#[test]
fn refusals_that_are_not_about_the_revision_stay_errors() {
    for (status, body, text) in [
        ("401 Unauthorized", r#"{"error":"empty JWT token"}"#, "empty JWT token"),
        ("429 Too Many Requests", "{}", "429"),
        ("500 Internal Server Error", "{}", "500"),
        ("404 Not Found", r#"{"error":"route not found"}"#, "route not found"),
        (
            "400 Bad Request",
            r#"{"error":"MVCC incremental pull-updates requires stream_kind=mvcc_logical_log"}"#,
            "MVCC mode",
        ),
    ] {
        let (server, cloud) = serve(Cloud::at(revision(NOW, 85)));
        let (_folder, _, mut shell) = attached(&server);
        cloud.lock().unwrap().refusal = Some((status, body));
        let error = shell.error("SELECT replica_sync('{\"timeout\": 1}')");
        assert!(error.contains(text), "{status}: {error}");
        assert_eq!(whole_pulls(&server), 1, "{status}");
    }
}

/// A restore, or another database under the same URL.
#[test]
fn a_state_before_the_one_of_the_file_is_another_history() {
    for before in [revision(NOW, 84), revision(NOW + 1, 900)] {
        let (server, cloud) = serve(Cloud::at(revision(NOW, 85)));
        let (_folder, _, mut shell) = attached(&server);
        *cloud.lock().unwrap() = Cloud::at(before.clone());
        let error = shell.error("SELECT replica_sync('{\"on_reset\": \"error\"}')");
        assert!(error.contains("the primary's history is another one"), "{before}: {error}");
        assert_eq!(shell.sync()["reset"], true, "{before}");
    }
    for after in [revision(NOW, 86), revision(NOW - 1, 0)] {
        let (server, cloud) = serve(Cloud::at(revision(NOW, 85)));
        let (_folder, _, mut shell) = attached(&server);
        *cloud.lock().unwrap() = Cloud::at(after.clone());
        assert_eq!(shell.sync()["reset"], false, "{after}");
    }
}

/// A fresh database may have no page yet; the cloud does not answer PRAGMAs that
/// would say more.
#[test]
fn an_empty_database_is_taken_at_its_word() {
    let empty = Cloud { empty: true, ..Cloud::at(revision(NOW, 0)) };
    let (server, cloud) = serve(empty);
    let (_folder, db, mut shell) = attached(&server);
    assert_eq!(shell.sync()["frames_synced"], 0);
    assert!(server.requests().iter().all(|request| request.path == "/pull-updates"));
    *cloud.lock().unwrap() = Cloud::at(revision(NOW, 1));
    assert_eq!(shell.sync()["frames_synced"], 1);
    assert_eq!(sql(&db, "PRAGMA integrity_check"), "ok");
}
