//! The file `<db>-replica` is ours only if we have written it: what else has
//! that name is neither replaced nor deleted nor waited for.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::*;

/// A kind of thing, and what makes one at a path.
type Maker = (&'static str, fn(&Path));

fn sidecar_of(db: &Path) -> PathBuf {
    db.with_file_name("app.db-replica")
}

fn attach(db: &Path, sqld: &Sqld) -> String {
    let statement = format!("SELECT replica_attach('{}', NULL)", sqld.url());
    Shell::loaded(db).error(&statement)
}

#[test]
fn files_of_somebody_else_are_refused_and_left_alone() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    for content in ["some notes\n", "{\"a\": 1}", "[1, 2]", "{\"sync_url\": \"x\"}", " "] {
        let (folder, db) = empty_place();
        fs::write(sidecar_of(&db), content).expect("written");
        let error = attach(&db, &sqld);
        assert!(error.contains("is not a replica's and was left alone"), "{error}");
        assert_eq!(fs::read_to_string(sidecar_of(&db)).expect("there"), content);
        assert!(
            fs::metadata(&db).is_ok_and(|found| found.len() == 0),
            "{:?}",
            files(folder.path())
        );
    }
    let (_folder, db) = empty_place();
    sql(&sidecar_of(&db), "CREATE TABLE mine(x); INSERT INTO mine VALUES (1)");
    attach(&db, &sqld);
    assert_eq!(scalar(&sidecar_of(&db), "SELECT x FROM mine"), "1");
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let makers: [Maker; 4] = [
        ("pipe", |path| {
            assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
        }),
        ("link", |path| {
            let victim = path.with_file_name("victim");
            fs::write(&victim, "precious").expect("written");
            std::os::unix::fs::symlink(victim, path).expect("a link");
        }),
        ("device", |path| std::os::unix::fs::symlink("/dev/zero", path).expect("a link")),
        ("folder", |path| fs::create_dir(path).expect("a folder")),
    ];
    for (kind, make) in makers {
        let (folder, db) = empty_place();
        make(&sidecar_of(&db));
        let started = Instant::now();
        let error = attach(&db, &sqld);
        assert!(error.contains("is not a replica's and was left alone"), "{kind}: {error}");
        assert!(started.elapsed() < Duration::from_secs(5), "{kind}");
        let victim = folder.path().join("victim");
        if victim.exists() {
            assert_eq!(fs::read_to_string(victim).expect("there"), "precious");
        }
    }
}

#[test]
fn a_file_that_takes_its_place_later_survives_syncs_and_promotion() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let mut replica = Shell::attached(&db, &sqld.url());
    fs::write(sidecar_of(&db), "mine now").expect("written");
    sqld.execute("INSERT INTO t VALUES (1)");
    replica.sync();
    replica.run("SELECT replica_promote()");
    replica.close();
    assert_eq!(fs::read_to_string(sidecar_of(&db)).expect("there"), "mine now");
}

#[test]
fn one_that_a_power_cut_has_shortened_is_ours() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    for content in ["", "\0\0\0\0", "{\"syn", "{\"sync_url\":\"http://"] {
        let (_folder, db) = empty_place();
        fs::write(sidecar_of(&db), content).expect("written");
        Shell::attached(&db, &sqld.url()).close();
        let text = fs::read_to_string(sidecar_of(&db)).expect("there");
        assert!(text.contains("\"protocol\":\"sqld\""), "{text}");
    }
}

#[test]
fn it_is_readable_by_those_who_may_read_the_database() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    for mode in [0o600, 0o640, 0o644] {
        let (folder, db) = empty_place();
        fs::write(&db, "").expect("written");
        fs::set_permissions(&db, fs::Permissions::from_mode(mode)).expect("set");
        Shell::attached(&db, &sqld.url()).close();
        let found = fs::metadata(sidecar_of(&db)).expect("there").permissions().mode();
        assert_eq!(found & 0o777, mode, "{found:o}");
        assert_eq!(files(folder.path()), ["app.db", "app.db-replica"]);
    }
}
