//! What Turso Cloud is to a client, as far as public sources say it, and what
//! becomes of a replica there. Simulated by `aws.py`: nobody here has an account.

#[path = "../common/mod.rs"]
mod common;

mod doors;
mod revisions;
mod sql;

use common::aws::{javascript_oracle, python_oracle};
use common::*;

/// A replica in a shell, of a cloud with a table `t(id, x)`.
fn replica(aws: &Aws, options: &str) -> (TempDir, std::path::PathBuf, Shell) {
    aws.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    let (folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.json(&attach(&aws.url(), options));
    aws.requests();
    (folder, db, shell)
}

fn attach(url: &str, options: &str) -> String {
    format!("SELECT replica_attach('{url}', NULL, '{options}')")
}

/// The paths of what was asked since the last call.
fn asked(aws: &Aws) -> Vec<String> {
    aws.requests().into_iter().map(|asked| asked.path).collect()
}

const PULL: &str = "/pull-updates";
const SQL: &str = "/v3/pipeline";

/// What is said of the simulated cloud is no more than what Turso's own clients
/// live with: they replicate from it and write through it, and this extension
/// with them.
#[test]
fn turso_s_own_clients_replicate_from_the_simulated_cloud_and_write_through_it() {
    let aws = Aws::start();
    aws.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t(x) VALUES ('first')");
    let (folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &aws.url());
    shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (''ours'')')");
    let mut both = 2;
    for oracle in [python_oracle, javascript_oracle] {
        let Some(output) = oracle(&aws.url(), folder.path()) else { continue };
        let said = String::from_utf8_lossy(&output.stdout).replace(['(', ')', '[', ']', ','], "");
        let said: Vec<Vec<&str>> =
            said.lines().map(|line| line.split_whitespace().collect()).collect();
        let told = |name: &str| said.iter().filter(|line| line[0] == name).collect::<Vec<_>>();
        let (count, sum) = (both.to_string(), (both * (both + 1) / 2).to_string());
        assert_eq!(told("bootstrap"), [&vec!["bootstrap", &count, &sum]], "{output:?}");
        let pulled: Vec<_> = told("pulled").iter().map(|line| line[1].to_lowercase()).collect();
        assert_eq!(pulled, ["true", "true"], "{output:?}");
        assert_eq!(told("again")[0][1].to_lowercase(), "false", "{output:?}");
        assert_eq!(told("rows"), [&vec!["rows", "1"], &vec!["rows", "1"]], "{output:?}");
        both += 2;
        shell.sync();
        assert_eq!(shell.run("SELECT count(*) FROM t"), both.to_string());
        shell.json("SELECT replica_write('DELETE FROM t WHERE x = ''of another generation''')");
        aws.execute("INSERT INTO t(id, x) VALUES ((SELECT max(id) + 1 FROM t), 'again')");
        shell.sync();
    }
    assert_replica_equals_primary(&db, &aws);
}

/// What somebody with an account is asked to run, and each line that it says
/// the cloud prints.
#[test]
fn the_smoke_test_for_the_real_cloud_prints_what_it_says_on_the_simulated_one() {
    let text = include_str!("../cloud-smoke.sql");
    let (mut expected, mut prints, mut error) = (Vec::new(), None, None);
    for line in text.lines() {
        if line.starts_with("--") {
            prints = line.split_once("prints: ").map(|(_, output)| output);
            error = error.or(line.split_once("prints an error: ").map(|(_, error)| error));
        } else if line.starts_with("SELECT") || line.starts_with("PRAGMA") {
            expected.extend(prints);
        }
    }
    let error = error.expect("one of them fails");
    assert!(expected.len() > 15);
    let library = extension().with_extension("").display().to_string();
    let script = text.replace("./dist/replica", &library).replace("sleep 70", "sleep 0");
    for key in [None, Some("S0VZ")] {
        let aws = Aws::with(serde_json::json!({ "encryption_key": key, "token": "TOKEN" }));
        let (_folder, db) = empty_place();
        let mut command = shell::command(&db);
        command.env("REPLICA_URL", aws.url()).env("REPLICA_TOKEN", "TOKEN");
        command.envs(key.map(|key| ("TURSO_DB_REMOTE_ENCRYPTION_KEY", key)));
        let output = shell::shell_in(command, &script);
        let said: Vec<&str> = output.stdout.lines().take(expected.len()).collect();
        assert_eq!(said, expected, "{output:?}");
        assert!(output.stderr.contains(error), "{output:?}");
        assert!(!format!("{output:?}").contains("TOKEN"), "{output:?}");
    }
}
