//! The documentation says what is so: every SQL and shell block of the README
//! and of `docs/` is run against a real sqld, and what it prints is compared
//! with what the block shows. Each block runs alone, as somebody pastes it: in a
//! folder that holds `dist/` and `sql/` and no database yet, with a primary that
//! holds the table of `make primary` and nothing else.
//!
//! - ```` ```sql ````: statements for `sqlite3 app.db`; the comment lines after
//!   one are its output, or `-- error CODE: TEXT`.
//! - ```` ```console ````: `$ ` is run by bash, `sqlite> ` is typed into the
//!   shell that a `$ sqlite3 FILE` line opened; the other lines are the output.
//! - ```` ```sh ````: run by bash, must succeed.
//! - `…` in an output stands for anything; times, sizes and ids are not compared.
//! - `<!-- not run: REASON -->` before a block leaves it out.
//! - `<!-- from FILE -->` before a block of any language: it is an excerpt of
//!   that file, which another test runs.
//! - A block in a language is run, an excerpt, or says why it is neither.

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use common::shell::error_and_code;
use common::*;

/// Where the pages say the primary is.
const PRIMARY: &str = "http://127.0.0.1:8080";

#[test]
fn readme() {
    run("README.md");
}

#[test]
fn recipes() {
    run("docs/recipes.md");
}

#[test]
fn moving_from_the_libsql_client() {
    run("docs/from-libsql-client.md");
}

#[test]
fn troubleshooting() {
    run("docs/troubleshooting.md");
}

#[test]
fn how_it_works() {
    run("docs/how-it-works.md");
}

#[test]
fn hosts() {
    run("docs/hosts.md");
}

#[test]
fn apps() {
    run("docs/apps.md");
}

#[test]
fn operating() {
    run("docs/operating.md");
}

#[test]
fn offline() {
    run("docs/offline.md");
}

#[test]
fn behind_a_proxy() {
    run("docs/behind-a-proxy.md");
}

#[test]
fn adding_a_protocol() {
    run("docs/adding-a-protocol.md");
}

#[test]
fn reference() {
    run("docs/reference.md");
}

#[test]
fn security() {
    run("SECURITY.md");
}

#[test]
fn every_page_is_tested_and_every_link_leads_somewhere() {
    let source = include_str!("docs.rs");
    for page in pages() {
        let tested = source.contains(&format!("run(\"{}\")", page.display()));
        let text = std::fs::read_to_string(&page).unwrap();
        let blocks = blocks(&text);
        let has_blocks = blocks.iter().any(Block::is_tested);
        assert!(tested || !has_blocks, "{}: no test runs its blocks", page.display());
        for block in blocks.iter().filter(|block| !block.language.is_empty()) {
            let told = block.is_tested() || block.note.starts_with("not run: ");
            let (page, line) = (page.display(), block.line);
            assert!(told, "{page}:{line}: neither run, nor an excerpt, nor does it say why not");
        }
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let here = page.parent().unwrap().join(file);
            let path = if file.is_empty() { page.clone() } else { here };
            assert!(path.exists(), "{}: the link {target} leads nowhere", page.display());
            let anchors = || anchors(&std::fs::read_to_string(&path).unwrap());
            let leads_there = anchor.is_empty() || anchors().contains(anchor);
            assert!(leads_there, "{}: no heading for the link {target}", page.display());
        }
    }
}

/// What `openssl` makes of the first block of the page is what sqld wants.
#[test]
fn the_key_and_the_token_of_the_operating_page_open_a_primary() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("skipped: openssl is not installed");
        return;
    }
    let page = std::fs::read_to_string("docs/operating.md").unwrap();
    let block = blocks(&page).into_iter().find(|block| block.language == "sh").expect("a block");
    let (folder, db) = empty_place();
    let made = Command::new("bash")
        .args(["-ec", &block.text])
        .current_dir(&folder)
        .output()
        .expect("bash starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
    let (key, token) = (read("key.pub"), read("token"));
    let sqld = Sqld::with_key(&key, token.trim());
    sqld.execute("CREATE TABLE t(x)");
    let attach =
        |token: &str| format!("SELECT replica_attach('{}', {token}) ->> 'state'", sqld.url());
    let mut shell = Shell::loaded(&db);
    let refused = shell.error(&attach("NULL"));
    assert!(refused.contains("wants a token"), "{refused}");
    assert_eq!(shell.run(&attach(&quoted(token.trim()))), "idle");
    let write = shell.run("SELECT replica_write('INSERT INTO t VALUES (1)') ->> 'synced'");
    assert_eq!(write, "1");
}

/// The terminal at the top of the README shows what its first session types.
#[test]
fn the_picture_of_the_session_is_that_of_the_readme() {
    let picture = include_str!("../docs/session.svg").replace("&gt;", ">").replace("</tspan>", "");
    let readme = include_str!("../README.md");
    let session = readme.split("```console\n$ sqlite3 app.db\n").nth(1).expect("a session");
    let typed = session.split("```").next().expect("its end").lines();
    let typed: Vec<&str> = typed.filter_map(|line| line.strip_prefix("sqlite> ")).collect();
    assert!(typed.len() > 5);
    for line in typed {
        assert!(picture.contains(&format!(">{line}")), "`make session` draws it anew: {line}");
    }
}

/// The reference's table of functions names what loading adds, and nothing else.
#[test]
fn the_function_table_of_the_reference_is_what_loading_adds() {
    let added: BTreeSet<&str> = include_str!("sql/surface.txt")
        .lines()
        .map(|line| line.trim_start_matches("module ").split(' ').next().unwrap())
        // A table that is made in `temp` and by nobody else.
        .filter(|name| *name != "replica_open_transaction")
        .collect();
    let page = include_str!("../docs/reference.md");
    let section = page.split("\n## Functions").nth(1).expect("a section");
    let table = section.split("\n## ").next().expect("its table");
    let mut told = BTreeSet::new();
    for cell in table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()) {
        for (at, _) in cell.match_indices("replica_") {
            let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
            let name = &cell[at..];
            told.insert(&name[..name.find(|letter| !is_part(letter)).unwrap_or(name.len())]);
        }
    }
    assert_eq!(told, added);
}

/// `src/…` and `tests/…` in a page are files, and `tests/README.md` says of
/// each file of tests what it is for.
#[test]
fn the_files_and_targets_that_pages_name_exist() {
    let mut findings = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for word in text.split(['`', ' ', '(', ')', '\n', ',', '\'']) {
            let is_path =
                ["src/", "tests/", "benches/", "sql/"].iter().any(|f| word.starts_with(f));
            let is_file = word.rsplit_once('.').is_some_and(|(_, end)| end.len() <= 4);
            // NAME, *: a place to fill in.
            let is_open = word.contains(['*', '#']) || word.contains("NAME");
            if is_path && is_file && !is_open && !PathBuf::from(word).exists() {
                findings.push(format!("{}: there is no {word}", page.display()));
            }
        }
    }
    let makefile = std::fs::read_to_string("Makefile").unwrap();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in text.split("`make ").skip(1) {
            let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '-';
            let end = target.find(|letter| !is_part(letter)).unwrap_or(target.len());
            let rule = format!("\n{}:", &target[..end]);
            if end > 0 && !makefile.contains(&rule) {
                findings.push(format!("{}: there is no make {}", page.display(), &target[..end]));
            }
        }
    }
    let told = include_str!("README.md");
    for entry in std::fs::read_dir("tests").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".rs") && !told.contains(&format!("`{name}`")) {
            findings.push(format!("tests/README.md says nothing of {name}"));
        }
    }
    assert!(findings.is_empty(), "\n  {}\n", findings.join("\n  "));
}

/// Each row of these tables names what attacks it, which exists.
#[test]
fn each_attack_and_each_promise_names_tests_that_exist() {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from("tests"), PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        files.push(format!("{}/", folder.display()));
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path().is_dir() {
                true => folders.push(entry.path()),
                false => files.push(entry.path().display().to_string()),
            }
        }
    }
    let makefile = std::fs::read_to_string("Makefile").unwrap();
    let exists = |name: &str| match name.strip_prefix("make ") {
        Some(target) => makefile.contains(&format!("\n{target}:")),
        None => files.iter().any(|file| file == name || file.ends_with(&format!("/{name}"))),
    };
    for (page, rows) in [("SECURITY.md", 20), ("tests/README.md", 40)] {
        let text = std::fs::read_to_string(page).unwrap();
        let heads = ["| attack | test |", "| promise | tests that attack it |"];
        let table = heads.iter().find_map(|head| text.split(head).nth(1)).expect("its table");
        let table: Vec<&str> =
            table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
        assert!(table.len() >= rows, "{page}: {} rows", table.len());
        for row in table {
            let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
            let named: Vec<&str> = tests
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|name| {
                    name.ends_with(['/']) || name.ends_with(".rs") || name.starts_with("make ")
                })
                .collect();
            assert!(!named.is_empty(), "{page}: no test: {row}");
            for name in named {
                assert!(exists(name), "{page}: there is no {name}: {row}");
            }
        }
    }
}

/// A heading in quotes of the troubleshooting page is an error that can happen.
#[test]
fn the_errors_of_the_troubleshooting_page_exist() {
    let mut known = std::fs::read_to_string("tests/sql/errors.out").unwrap();
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                known += &joined(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    // SQLite's own, the shell's and Python's.
    known += "the primary ended the transaction: Transaction timed out: it was open for more than 5 s attempt to write a readonly database replica_open_transaction: not authorized malformed database schema ( ) - no such function: vector_ too many arguments on function replica_write no such table: replica_ no such function: replica_attach no such function: replica_query \
              has no attribute 'enable_load_extension' cannot open shared object file \
              no such module: replica_status unsupported file format unsafe use of near \">>\": syntax error version `GLIBC_2.34' not found";
    let page = std::fs::read_to_string("docs/troubleshooting.md").unwrap();
    let mut found = 0;
    for heading in page.lines().filter_map(|line| line.strip_prefix("### `")) {
        let text = heading.trim_end_matches('`');
        for part in text.split('…').map(str::trim).filter(|part| !part.is_empty()) {
            assert!(known.contains(part), "no such error: {part} (of {text})");
        }
        found += 1;
    }
    assert!(found > 15, "only {found} errors");
}

/// An error is looked up by its text: in alphabetical order, without regard to what
/// stands for a name. `UPDATE=1` sorts the page.
#[test]
fn the_troubleshooting_page_is_in_order() {
    let path = "docs/troubleshooting.md";
    let page = std::fs::read_to_string(path).unwrap();
    let (head, rest) = page.split_once("\n### ").expect("a heading");
    let (errors, tail) = rest.split_once("\n## ").expect("what is no error");
    let key = |section: &str| -> String {
        let heading = section.lines().next().unwrap_or_default().to_lowercase();
        let kept = |c: &char| c.is_ascii_alphanumeric() || *c == ' ';
        heading.chars().filter(kept).collect::<String>().trim().to_owned()
    };
    let mut sections: Vec<&str> = errors.split("\n### ").map(str::trim_end).collect();
    if std::env::var_os("UPDATE").is_some() {
        sections.sort_by_key(|section| key(section));
        let errors = sections.join("\n\n### ");
        std::fs::write(path, format!("{head}\n### {errors}\n\n## {tail}")).unwrap();
    }
    let misplaced = sections.windows(2).find(|pair| key(pair[0]) > key(pair[1]));
    assert!(misplaced.is_none(), "UPDATE=1 sorts the page: {misplaced:?}");
}

/// Source text with string literals that go over several lines in one.
fn joined(source: &str) -> String {
    let mut joined = String::new();
    for part in source.split("\\\n") {
        joined += part.trim_start();
    }
    joined.replace("\\\"", "\"")
}

/// The names that forges give to the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut open = false;
    for line in page.lines() {
        open ^= line.starts_with("```");
        if open || !line.starts_with('#') {
            continue;
        }
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        anchors.insert(heading.chars().filter(kept).collect::<String>().replace(' ', "-"));
    }
    anchors
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> =
        ["README.md", "SECURITY.md", "tests/README.md"].map(PathBuf::from).into();
    for entry in std::fs::read_dir("docs").expect("docs/") {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages
}

#[derive(Debug)]
struct Block {
    line: usize,
    language: String,
    /// What the comment before it says: `not run: …` or `from …`.
    note: String,
    text: String,
}

impl Block {
    fn runs(&self) -> bool {
        self.note.is_empty() && ["sql", "console", "sh"].contains(&self.language.as_str())
    }

    fn is_tested(&self) -> bool {
        self.runs() || self.note.starts_with("from ")
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut note = String::new();
    let mut open = false;
    for (at, line) in page.lines().enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            open = !open;
            if open {
                let note = std::mem::take(&mut note);
                let language = language.to_owned();
                blocks.push(Block { line: at + 1, language, note, text: String::new() });
            }
        } else if open {
            let block = blocks.last_mut().expect("an open block");
            block.text += &format!("{line}\n");
        } else if let Some(comment) = line.strip_prefix("<!-- ") {
            note = comment.trim_end_matches(" -->").to_owned();
        } else if !line.is_empty() {
            note.clear();
        }
    }
    assert!(!open, "a block is not closed");
    blocks
}

/// Where one block runs.
struct Place {
    page: String,
    primary: Sqld,
    folder: TempDir,
}

fn run(page: &str) {
    let text = std::fs::read_to_string(page).expect("a page");
    for block in blocks(&text) {
        if let Some(file) = block.note.strip_prefix("from ") {
            let source = std::fs::read_to_string(file).unwrap_or_else(|_| panic!("{file}"));
            assert!(source.contains(&block.text), "{page}:{}: not a part of {file}", block.line);
            continue;
        }
        if !block.runs() {
            continue;
        }
        let place = Place::new(page);
        match block.language.as_str() {
            "sql" => place.sql(&block),
            "console" => place.console(&block),
            _ => {
                let (output, good) = place.bash(&block.text);
                assert!(good, "{page}:{}: {output}", block.line);
            }
        }
    }
}

impl Place {
    fn new(page: &str) -> Place {
        let primary = Sqld::start();
        // The same rows as in `make primary` and `make demo`.
        primary.execute(
            "CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT, amount INTEGER DEFAULT 1);\
             INSERT INTO orders(id, item, amount) VALUES (5, 'rope', 20), (6, 'compass', 1), (7, 'lantern', 2);",
        );
        let (folder, _) = empty_place();
        std::fs::create_dir(folder.path().join("dist")).unwrap();
        let library = format!("replica{}", std::env::consts::DLL_SUFFIX);
        std::fs::copy(extension(), folder.path().join("dist").join(library)).unwrap();
        // A user edits the URL in the scripts; so do we.
        std::fs::create_dir(folder.path().join("sql")).unwrap();
        for entry in std::fs::read_dir("sql").unwrap() {
            let script = entry.unwrap().path();
            let text = std::fs::read_to_string(&script).unwrap().replace(PRIMARY, &primary.url());
            std::fs::write(folder.path().join(&script), text).unwrap();
        }
        Place { page: page.to_owned(), primary, folder }
    }

    fn there(&self, text: &str) -> String {
        text.replace(PRIMARY, &self.primary.url())
    }

    /// What the page would print: its own names for the server and the folder.
    fn here(&self, text: &str) -> String {
        let folder = self.folder.path().canonicalize().unwrap().display().to_string();
        text.replace(&self.primary.url(), PRIMARY)
            .replace(&self.primary.address().to_string(), "127.0.0.1:8080")
            .replace(&folder, "/srv/app")
            .replace(&self.folder.path().display().to_string(), "/srv/app")
    }

    fn bash(&self, script: &str) -> (String, bool) {
        let output = Command::new("bash")
            .args(["-c", &self.there(script)])
            .current_dir(&self.folder)
            .env("HOME", self.folder.path())
            .envs(tokens::NONE)
            .output()
            .expect("bash starts");
        // A pipe is written later than a terminal: errors would come first.
        let bytes = [output.stdout, output.stderr].concat();
        (self.here(&String::from_utf8_lossy(&bytes)), output.status.success())
    }

    fn open(&self, file: &str) -> Shell {
        let place = if file == ":memory:" { file.into() } else { self.folder.path().join(file) };
        let mut shell = Shell::plain(&place);
        // Relative paths are those of the page's folder.
        shell.run(&format!(".cd {}", self.folder.path().display()));
        shell
    }

    fn sql(&self, block: &Block) {
        let mut shell = self.open("app.db");
        let mut statement = String::new();
        let mut lines = block.text.lines().enumerate().peekable();
        while let Some((at, line)) = lines.next() {
            if statement.is_empty() && (line.trim().is_empty() || line.starts_with("--")) {
                continue;
            }
            statement += line;
            let code = line.split(" --").next().unwrap().trim_end();
            if !line.starts_with('.') && !code.ends_with(';') {
                statement.push('\n');
                continue;
            }
            let mut expected = Vec::new();
            while let Some((_, comment)) = lines.next_if(|(_, line)| line.starts_with("-- ")) {
                expected.push(&comment[3..]);
            }
            let dot = statement.starts_with('.');
            let text = if dot { statement.as_str() } else { statement.trim_end() };
            // The shell wants its end of statement last, not a comment.
            let answer = shell.ask(&(self.there(text) + if dot { "" } else { "\n" }));
            let answer = match error_and_code(&answer) {
                Some((text, code)) => format!("error {code}: {}", self.here(&text)),
                None => self.here(&answer),
            };
            let failed = answer.starts_with("error ") && expected.is_empty();
            if failed || !expected.is_empty() {
                self.compare(block.line + at + 1, &expected, &answer);
            }
            statement.clear();
        }
        assert!(statement.is_empty(), "{}:{}: no end: {statement}", self.page, block.line);
    }

    fn console(&self, block: &Block) {
        let mut shell: Option<Shell> = None;
        let mut lines = block.text.lines().enumerate().peekable();
        while let Some((at, line)) = lines.next() {
            let output = if let Some(statement) = line.strip_prefix("sqlite> ") {
                let shell = shell.as_mut().expect("a line `$ sqlite3 FILE` before");
                shell.ask(
                    &(self.there(statement) + if statement.starts_with('.') { "" } else { "\n" }),
                )
            } else if let Some(command) = line.strip_prefix("$ ") {
                match command.strip_prefix("sqlite3 ").filter(|file| !file.contains(' ')) {
                    Some(file) => {
                        shell = Some(self.open(file));
                        String::new()
                    }
                    None => self.bash(command.split("   #").next().unwrap()).0,
                }
            } else {
                panic!("{}:{}: an output without its command", self.page, block.line + at + 1)
            };
            let mut expected = Vec::new();
            let is_output = |line: &str| !line.starts_with("$ ") && !line.starts_with("sqlite> ");
            while let Some((_, line)) = lines.next_if(|(_, line)| is_output(line)) {
                expected.push(line);
            }
            self.compare(block.line + at + 1, &expected, self.here(&output).trim_end());
        }
    }

    fn compare(&self, line: usize, expected: &[&str], found: &str) {
        let found: Vec<&str> = found.lines().collect();
        let same = expected.len() == found.len()
            && expected.iter().zip(&found).all(|(expected, found)| alike(expected, found));
        let (name, shown) = (&self.page, expected.join("\n"));
        assert!(same, "{name}:{line} shows\n{shown}\nand it is\n{}\n", found.join("\n"));
    }
}

/// Versions of the shell put other words around an error; `…` is anything.
fn alike(expected: &str, found: &str) -> bool {
    if let (Some(expected), Some(found)) = (error_and_code(expected), error_and_code(found)) {
        return expected.1 == found.1 && matches(&expected.0, &found.0);
    }
    matches(&masking::masked(expected), &masking::masked(found))
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let parts: Vec<&str> = rest.split('…').collect();
    let (last, between) = parts.split_last().expect("one part");
    for part in between {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}
