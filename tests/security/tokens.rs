//! A token goes to the primary that it is for, and to nobody else: neither to
//! the server that an SQL text names, nor to whoever listens on the way, nor to
//! a neighbour who looks at processes and files.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::shell::{self, command, load, shell_in};
use crate::common::tokens::READ_WRITE;
use crate::common::*;

/// A server that wants a token and notes what it is shown.
fn curious() -> FakeServer {
    FakeServer::always("401 Unauthorized", "content-type: text/plain\r\n", "a token, please")
}

fn tokens_seen(server: &FakeServer) -> Vec<String> {
    let all = server.requests();
    let of = |name| all.iter().filter_map(move |request| request.header(name));
    of("authorization").chain(of("x-authorization")).map(str::to_owned).collect()
}

/// Attaches in a shell with this environment, and says what came of it.
fn attach(db: &Path, arguments: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = command(db);
    command.envs(environment.iter().copied());
    shell_in(command, &format!("{}SELECT replica_attach({arguments});\n", load()))
}

#[test]
fn the_token_of_the_environment_goes_only_where_the_environment_says() {
    let (good, evil) = (curious(), curious());
    let (_folder, db) = empty_place();
    let (url, host) = (good.url(), good.url().replace("http://", ""));
    let list = format!("other.example, {host}");
    for beside in [
        [("REPLICA_TOKEN", "ENVSECRET"), ("REPLICA_URL", url.as_str())],
        [("TURSO_AUTH_TOKEN", "ENVSECRET"), ("TURSO_DATABASE_URL", url.as_str())],
        [("REPLICA_TOKEN", "ENVSECRET"), ("REPLICA_HOSTS", list.as_str())],
    ] {
        let before = tokens_seen(&good).len();
        attach(&db, &quoted(good.url()), &beside);
        assert!(tokens_seen(&good).len() > before, "{beside:?}");
        let output = attach(&db, &quoted(evil.url()), &beside);
        let held_back = format!("the token of {} was not sent", beside[0].0);
        assert!(output.stderr.contains(&held_back), "{output:?}");
        // A token that stands alone goes nowhere.
        attach(&db, &quoted(evil.url()), &beside[..1]);
        assert!(!evil.requests().is_empty() && tokens_seen(&evil).is_empty(), "{beside:?}");
    }
}

#[test]
fn one_line_attaches_to_the_primary_of_the_environment() {
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE t(a); INSERT INTO t VALUES (7)");
    let url = sqld.url();
    for (token, place) in
        [("REPLICA_TOKEN", "REPLICA_URL"), ("TURSO_AUTH_TOKEN", "TURSO_DATABASE_URL")]
    {
        for arguments in ["", "NULL", "NULL, NULL, '{\"timeout\": 5}'"] {
            let (_folder, db) = empty_place();
            let output = attach(&db, arguments, &[(token, READ_WRITE), (place, &url)]);
            assert_eq!(output.stderr, "", "{arguments}");
            assert_eq!(scalar(&db, "SELECT a FROM t"), "7");
        }
    }
    let (_folder, db) = empty_place();
    let output = attach(&db, "", &[]);
    assert!(output.stderr.contains("there is no URL of a primary"), "{output:?}");
}

#[test]
fn no_token_goes_over_plain_http_to_another_machine() {
    let (folder, db) = empty_place();
    // An address of nobody (RFC 5737), and a name.
    for host in ["192.0.2.1:8080", "primary.invalid:8080", "localhost.invalid:8080"] {
        let url = format!("http://{host}");
        let file = folder.path().join("token");
        secret(&file, &format!("{url}\nSECRET\n"));
        let in_file = format!("NULL, NULL, '{{\"token_file\":\"{}\"}}'", file.display());
        for arguments in [
            format!("'{url}', 'SECRET'"),
            format!("'{url}?authToken=SECRET'"),
            format!("'libsql://{host}?tls=0', 'SECRET'"),
            format!("'ws://{host}', 'SECRET'"),
            in_file,
            "NULL".to_owned(),
        ] {
            let environment = [("REPLICA_TOKEN", "SECRET"), ("REPLICA_URL", url.as_str())];
            let started = Instant::now();
            let output = attach(&db, &arguments, &environment);
            assert!(
                output.stderr.contains(&format!("the token would go to {host} over plain HTTP"))
            );
            assert!(!output.stderr.contains("SECRET"), "{output:?}");
            assert!(started.elapsed() < Duration::from_secs(2), "it was tried: {arguments}");
        }
    }
    // Without a token there is nothing to hide; a token that comes later is one.
    let mut shell = Shell::loaded(&db);
    shell.run("SELECT replica_attach('http://192.0.2.1', NULL, '{\"first_sync\": false}')");
    let error = shell.error("SELECT replica_set_token('SECRET')");
    assert!(error.contains("over plain HTTP"), "{error}");
    shell.run("SELECT replica_set_token(NULL)");
    // The user may know better: a private network, a tunnel.
    shell.run("SELECT replica_detach()");
    shell.run(
        "SELECT replica_attach('http://192.0.2.1', 'SECRET', \
         '{\"first_sync\": false, \"token_over_http\": true}')",
    );
}

#[test]
fn a_replica_is_not_led_to_another_primary_by_its_url() {
    let (mine, other) = (Sqld::start(), Sqld::start());
    mine.execute("CREATE TABLE t(a); INSERT INTO t VALUES ('mine')");
    other.execute("CREATE TABLE t(a); INSERT INTO t VALUES ('other')");
    let (_folder, db) = empty_place();
    Shell::attached(&db, &mine.url()).close();
    let mut shell = Shell::loaded(&db);
    let attach = |options: &str| format!("SELECT replica_attach('{}'{options})", other.url());
    for options in ["", ", NULL, '{\"live\": true}'", ", NULL, '{\"on_reset\": \"replace\"}'"] {
        let error = shell.error(&attach(options));
        let expected = format!("this file follows {}, and following {}", mine.url(), other.url());
        assert!(error.contains(&expected) && error.contains("new_primary"), "{error}");
    }
    // Another database of the same server is another primary too.
    let error = shell.error(&format!(
        "SELECT replica_attach('{}', NULL, '{{\"namespace\": \"two\"}}')",
        mine.url()
    ));
    assert!(error.contains("(namespace two)"), "{error}");
    // The same one may be written differently.
    shell.run(&format!("SELECT replica_attach('{}/')", mine.url().replace("http", "ws")));
    assert_eq!(shell.run("SELECT a FROM t"), "mine");
    shell.run("SELECT replica_detach()");
    // Said aloud, it is followed, and remembered.
    shell.run(&attach(", NULL, '{\"new_primary\": true}'"));
    shell.sync();
    assert_eq!(shell.run("SELECT a FROM t"), "other");
    shell.run("SELECT replica_detach()");
    shell.run(&attach(""));
    let error = shell.error(&format!("SELECT replica_attach('{}')", mine.url()));
    assert!(error.contains("call replica_detach() first"), "{error}");
    shell.close();
    assert_replica_equals_primary(&db, &other);
}

/// What an SQL injection into a SELECT makes of the functions of this library.
#[test]
fn an_injected_select_gets_no_token_and_replaces_nothing() {
    let (sqld, evil) = (Sqld::with_tokens(), curious());
    sqld.execute(
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT); INSERT INTO orders VALUES (7, 'lantern')",
    );
    let (_folder, db) = empty_place();
    let url = sqld.url();
    let environment = [("REPLICA_TOKEN", READ_WRITE), ("REPLICA_URL", url.as_str())];
    for options in ["", ", NULL, '{\"new_primary\": true, \"token_over_http\": true}'"] {
        let injected = format!(
            "SELECT item FROM orders WHERE id = 7 UNION ALL SELECT replica_detach() \
             UNION ALL SELECT replica_attach('{}'{options}) UNION ALL SELECT replica_sync()",
            evil.url()
        );
        let mut command = command(&db);
        command.envs(environment);
        let attach = format!("SELECT replica_attach({})", quoted(&url));
        shell_in(command, &format!("{}{attach};\n{injected};\n", load()));
        assert_eq!(tokens_seen(&evil), [""; 0], "{options}");
        assert_eq!(scalar(&db, "SELECT item FROM orders WHERE id = 7"), "lantern");
    }
}

/// A file that nobody else may read.
pub fn secret(path: &Path, text: &str) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, text).unwrap();
    chmod(path, "600");
}

fn chmod(path: &Path, mode: &str) {
    assert!(Command::new("chmod").arg(mode).arg(path).status().unwrap().success());
}

#[test]
fn a_token_file_is_read_if_it_is_ours_alone_and_names_the_primary() {
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE t(a); INSERT INTO t VALUES (7)");
    let evil = curious();
    let (folder, db) = empty_place();
    let file = folder.path().join("token");
    let with_file = |url: &str| {
        let options = format!("'{{\"token_file\":\"{}\",\"timeout\":5}}'", file.display());
        attach(&db, &format!("{url}, NULL, {options}"), &[])
    };
    let refused = |url: &str, text: &str| {
        let started = Instant::now();
        let output = with_file(url);
        assert!(output.stderr.contains(text), "{text}: {output:?}");
        assert!(!output.stderr.contains("ey"), "a piece of a token: {output:?}");
        assert!(started.elapsed() < Duration::from_secs(3));
    };
    let both = format!("{}\n{READ_WRITE}\n", sqld.url());
    for mode in ["604", "660", "666", "620"] {
        secret(&file, &both);
        chmod(&file, mode);
        refused("NULL", "option token_file: others may read or change it");
    }
    // Nobody gets a secret that is in some file.
    for text in
        [READ_WRITE.to_owned(), String::new(), "root:x:0\na:b\n".to_owned(), both.clone() + "x"]
    {
        secret(&file, &text);
        refused(&quoted(evil.url()), "option token_file: it must have two lines");
    }
    secret(&file, &both);
    refused(&quoted(evil.url()), "option token_file: its token is for");
    assert!(evil.requests().is_empty());
    // What is not a file is not waited for, and not read to its end.
    std::fs::remove_file(&file).unwrap();
    refused("NULL", "option token_file: it cannot be read as a file");
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    refused("NULL", "option token_file: it cannot be read as a file");
    for place in ["/dev/zero", "/"] {
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(place, &file).unwrap();
        refused("NULL", "option token_file: it cannot be read as a file");
    }
    std::fs::remove_file(&file).unwrap();
    secret(&file, &both);
    chmod(&file, "440");
    assert_eq!(with_file("NULL").stderr, "");
    assert_eq!(with_file(&quoted(sqld.url())).stderr, "");
    assert_eq!(scalar(&db, "SELECT a FROM t"), "7");
    // The same by a variable, as service managers hand secrets over.
    secret(&file, READ_WRITE);
    let (url, path) = (sqld.url(), file.display().to_string());
    let environment = [("REPLICA_URL", url.as_str()), ("REPLICA_TOKEN_FILE", path.as_str())];
    let (_other, db) = empty_place();
    assert_eq!(attach(&db, "", &environment).stderr, "");
    chmod(&file, "644");
    let output = attach(&db, "", &environment);
    assert!(output.stderr.contains("REPLICA_TOKEN_FILE: others may read"), "{output:?}");
}

/// The recipe for cron and the session of the README, with a real token: it is
/// in no command line of the machine, in no history and in no file.
#[test]
fn the_documented_ways_leave_a_token_nowhere() {
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT)");
    let (folder, db) = empty_place();
    let home = folder.path();
    secret(
        &home.join("replica.env"),
        &format!("REPLICA_URL={}\nREPLICA_TOKEN={READ_WRITE}\n", sqld.url()),
    );
    let recipes = std::fs::read_to_string("docs/recipes.md").unwrap();
    let line =
        recipes.lines().find(|line| line.starts_with("*/5 * * * *")).expect("a crontab line");
    let command = line
        .trim_start_matches("*/5 * * * *")
        .trim()
        .replace("/srv/app", &home.display().to_string())
        .replace("/etc/replica.env", "./replica.env");
    std::fs::create_dir(home.join("dist")).unwrap();
    std::fs::copy(extension(), home.join("dist/replica.so")).unwrap();
    std::fs::create_dir(home.join("sql")).unwrap();
    let script = std::fs::read_to_string("sql/cron-sync.sql").unwrap();
    // Time for a neighbour to look.
    std::fs::write(home.join("sql/cron-sync.sql"), script + "\n.shell touch ready; sleep 1\n")
        .unwrap();
    // As cron does.
    let mut child = Command::new("/bin/sh")
        .args(["-c", &command])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !home.join("ready").exists() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "no sync");
        std::thread::sleep(Duration::from_millis(10));
    }
    let command_lines = command_lines();
    assert!(command_lines.iter().any(|line| line.contains("app.db")), "{command_lines:?}");
    let shown = command_lines.iter().find(|line| line.contains(&READ_WRITE[..40]));
    assert!(shown.is_none(), "{shown:?}");
    assert!(child.wait().unwrap().success());
    assert!(db.exists());
    let mut found = Vec::new();
    for name in files(home) {
        let bytes = std::fs::read(home.join(&name)).unwrap_or_default();
        let has = bytes.windows(40).any(|window| window == &READ_WRITE.as_bytes()[..40]);
        found.extend(has.then_some(name));
    }
    assert_eq!(found, ["replica.env"]);
}

/// What every user of the machine sees of every process.
fn command_lines() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let command = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).ok();
    processes
        .filter_map(command)
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect()
}

/// A session that is typed: the shell's history holds what was typed.
#[test]
fn the_history_of_the_shell_holds_no_token_of_the_session_in_the_readme() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let typed: Vec<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("sqlite> ")).collect();
    assert!(typed.iter().any(|line| line.contains("replica_attach(")), "{typed:?}");
    let secrets = ["eyJ", "authToken=", "', 'ey"];
    for page in ["README.md", "docs/recipes.md", "docs/hosts.md", "docs/troubleshooting.md"] {
        let text = std::fs::read_to_string(page).unwrap();
        let lines =
            text.lines().filter(|line| line.starts_with("sqlite> ") || line.starts_with("$ "));
        for line in lines {
            assert!(!secrets.iter().any(|secret| line.contains(secret)), "{page}: {line}");
            let mut values = line.split("REPLICA_TOKEN=").skip(1);
            assert!(values.all(|value| value.starts_with(' ')), "{page}: {line}");
        }
    }
    // `script` gives the shell a terminal, so that it keeps a history.
    let Ok(true) = Command::new("script").arg("--version").output().map(|o| o.status.success())
    else {
        println!("skipped: no `script` to make a terminal");
        return;
    };
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT)");
    let (folder, db) = empty_place();
    let script = format!("{}SELECT replica_attach();\n.quit\n", load());
    let mut command = Command::new("script");
    command
        .args(["-qec", &format!("sqlite3 {}", db.display()), "/dev/null"])
        .env("HOME", folder.path())
        .env("SQLITE_HISTORY", folder.path().join("history"))
        .env("REPLICA_URL", sqld.url())
        .env("REPLICA_TOKEN", READ_WRITE);
    let output = shell::shell_in(command, &script);
    assert!(output.stdout.contains("frame_no"), "{output:?}");
    for name in files(folder.path()) {
        let bytes = std::fs::read(folder.path().join(&name)).unwrap_or_default();
        assert!(!bytes.windows(40).any(|w| w == &READ_WRITE.as_bytes()[..40]), "{name}");
    }
}
