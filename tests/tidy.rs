//! The architecture, held by a test: which module may know which, where
//! `unsafe`, threads and the HTTP client may be, how long a file may get.
//!
//! It reads source text. A rule in the way is changed here, with its reason.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// The floors, as `src/lib.rs` draws them. A module may also use what is
/// further down its own arrow, and everything may use the `GROUND`.
const MAY_USE: &[(&str, &str)] = &[
    ("lib", "surface"),
    ("surface", "replica options store primary sqltext host"),
    (
        "replica",
        "sync delivery outbox credentials sidecar options store primary sqltext schema wal host fault thread",
    ),
    ("sync", "delivery options sidecar store primary host thread"),
    ("delivery", "outbox options primary sqltext host fault"),
    ("credentials", "options primary regular_file"),
    ("sidecar", "store primary host fault"),
    ("options", ""),
    ("store", "schema wal host fault"),
    ("outbox", "sqltext host fault"),
    ("schema", "sqltext"),
    ("primary", "proto sqltext thread regular_file"),
    ("proto", "sqltext"),
    ("sqltext", ""),
    ("wal", ""),
    ("host", ""),
    ("fault", "host"),
    ("thread", ""),
    ("regular_file", "host"),
];

/// What every floor stands on, and what uses nothing else.
const GROUND: &[&str] = &[
    "code", "clock", "error", "units", "position", "patience", "change", "write_id", "secret",
    "calendar",
];

/// What only some files (or folders, with a `/`) may mention: word, files, why.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    // SQLite says "unsafe use of" a function.
    ("unsafe", &["host/", "store/readable.rs"], "the FFI wall is in one folder"),
    ("sqlite_loadable", &["host/ffi.rs"], "the names of C have one source"),
    ("allow(unsafe_code", &["host/mod.rs", "lib.rs"], "the FFI wall is in one folder"),
    ("ureq", &["primary/link/http.rs", "primary/link/http/"], "one place knows the HTTP client"),
    ("std::net", &["primary/"], "one folder talks to the network"),
    ("thread::spawn", &[], "threads have a name: thread::Builder"),
    ("thread::Builder", &["thread.rs", "primary/link/http/connect.rs"], "threads have one owner"),
    ("thread::scope", &[], "threads have one owner"),
    ("process::Command", &[], "the host's children are not ours"),
    ("std::env", &["credentials.rs", "fault.rs"], "the environment is read in one place"),
    ("println!", &[], "the host's output is not ours"),
    ("eprintln!", &[], "the host's output is not ours"),
    ("rusqlite", &[], "a second SQLite in the process would release the host's file locks"),
    ("libsqlite3_sys", &[], "a second SQLite in the process would release the host's file locks"),
    ("sqlite3ext_sys", &[], "a second SQLite in the process would release the host's file locks"),
];

/// `proto`, `schema`, `sqltext` and `wal` are bytes in, values out.
const PURE: &[&str] = &["proto", "schema", "sqltext", "wal"];
const IMPURE: &[&str] =
    &["std::fs", "std::net", "std::thread", "std::env", "std::io::std", "Instant", "SystemTime"];

const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX", "todo!", "unimplemented!", "dbg!"];

/// Of a source; a test may be a little longer.
const MAX_LINES: usize = 450;
const MAX_TEST_LINES: usize = 600;

struct Source {
    /// Path below `src/`.
    path: String,
    text: String,
}

impl Source {
    /// `replica` for `replica/sync.rs`, `error` for `error.rs`.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().expect("a path");
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// `replica::sync` for `replica/sync.rs`, `replica` for `replica/mod.rs`.
    fn module_path(&self) -> String {
        let path = self.path.strip_suffix(".rs").expect("a source");
        path.strip_suffix("/mod").unwrap_or(path).replace('/', "::")
    }

    /// Unit tests may do what the code may not.
    fn is_test(&self) -> bool {
        self.path.ends_with("_tests.rs")
    }

    /// The code, without comments and without the unit tests at its end.
    fn code(&self) -> String {
        let mut code = String::new();
        let mut lines = self.text.lines().peekable();
        while let Some(line) = lines.next() {
            let tests_begin = line.trim() == "#[cfg(test)]"
                && lines.peek().is_some_and(|next| next.ends_with('{'));
            if tests_begin {
                break;
            }
            code.push_str(line.split("//").next().expect("a first part"));
            code.push('\n');
        }
        code
    }
}

fn sources() -> Vec<Source> {
    sources_below("src")
}

fn sources_below(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let path = path.strip_prefix(&root).expect("below it").to_string_lossy();
                sources.push(Source { path: path.replace('\\', "/"), text });
            }
        }
    }
    assert!(!sources.is_empty(), "these are not the sources");
    sources
}

/// The modules that `code` names by `crate::…`, also in `crate::{a, b::c}`.
fn modules_used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (start, prefix) in code.match_indices("crate::") {
        let rest = &code[start + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            used.insert(first_word(rest));
            continue;
        };
        let mut depth = 0;
        let mut word_begins = true;
        for (at, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => word_begins = true,
                _ if word_begins && !letter.is_whitespace() => {
                    used.insert(first_word(&group[at..]));
                    word_begins = false;
                }
                _ => {}
            }
        }
    }
    used
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Whether `word` stands in `code` and is not a part of a longer word.
fn mentions(code: &str, word: &str) -> bool {
    let is_part = |letter: Option<char>| letter.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        // A macro's or a path's end is a border of its own.
        !is_part(before) && !is_part(after.filter(|_| word.ends_with(char::is_alphanumeric)))
    })
}

/// Fails with all findings at once.
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n  {}\n", findings.join("\n  "));
}

#[test]
fn modules_know_only_what_is_below_them() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let module = source.module();
        let row = MAY_USE.iter().find(|(name, _)| *name == module);
        let ground = GROUND.contains(&module).then_some("");
        let Some(may_use) = row.map(|(_, may_use)| *may_use).or(ground) else {
            findings.push(format!("src/{}: not a module of the plan", source.path));
            continue;
        };
        for used in modules_used(&source.code()) {
            let is_module = MAY_USE.iter().any(|(name, _)| *name == used);
            let allowed = used == module
                || GROUND.contains(&used.as_str())
                || may_use.split(' ').any(|name| name == used);
            if is_module && !allowed {
                findings.push(format!("src/{}: {module} may not use {used}", source.path));
            }
        }
    }
    none(findings);
}

#[test]
fn bytes_and_text_are_pure() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let code = source.code();
        for word in IMPURE.iter().filter(|_| PURE.contains(&source.module())) {
            if mentions(&code, word) {
                findings.push(format!("src/{}: {word} in a pure module", source.path));
            }
        }
    }
    none(findings);
}

#[test]
fn each_tool_stays_in_its_place() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let code = source.code();
        for (word, places, reason) in ONLY_IN {
            let allowed = places.iter().any(|place| {
                source.path == *place || place.ends_with('/') && source.path.starts_with(place)
            });
            if !allowed && mentions(&code, word) {
                findings.push(format!("src/{}: {word}: {reason}", source.path));
            }
        }
    }
    none(findings);
}

/// Files that use each other cannot be read one after the other, nor can rooms:
/// a file, or a folder with all that is in it. A file and those below it in a
/// folder of its name are one thing here: a module shows what its parts make,
/// and its parts know what they share.
#[test]
fn no_files_use_each_other_in_a_circle() {
    let sources: Vec<Source> = sources().into_iter().filter(|source| !source.is_test()).collect();
    let modules: BTreeSet<String> = sources.iter().map(Source::module_path).collect();
    let shown = names_shown(&sources);
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in &sources {
        let from = source.module_path();
        for path in paths_used(&source.code(), &from) {
            let Some(to) = module_of(&path, &modules, &shown) else { continue };
            if let Some((from, to)) = rooms(&from, &to) {
                arrows.entry(from).or_default().insert(to);
            }
        }
    }
    let mut findings = Vec::new();
    for start in arrows.keys() {
        if let Some(circle) = way_back(start, &arrows) {
            // Each circle once, from the first of its names.
            if circle.iter().min() == Some(start) {
                findings.push(circle.join(" -> "));
            }
        }
    }
    none(findings);
}

/// The two rooms of one floor between which an arrow from a file to another
/// leads; None if one of them is above the other.
fn rooms(from: &str, to: &str) -> Option<(String, String)> {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.split("::").collect(), to.split("::").collect());
    let differ = from.iter().zip(&to).position(|(one, other)| one != other)?;
    Some((from[..=differ].join("::"), to[..=differ].join("::")))
}

/// What a module shows as its own and is made elsewhere, with the path that it
/// has there.
fn names_shown(sources: &[Source]) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    for source in sources {
        let (module, code) = (source.module_path(), source.code());
        for (at, _) in code.match_indices("use ") {
            let before = code[..at].rsplit('\n').next().unwrap_or_default().trim();
            let Some(end) = code[at..].find(';').filter(|_| before.starts_with("pub")) else {
                continue;
            };
            for path in paths_used(&code[at..at + end], &module) {
                let name = path.rsplit("::").next().expect("a name");
                shown.insert(format!("{module}::{name}"), path);
            }
        }
    }
    shown
}

/// The module in which that is made which a path names.
fn module_of(
    path: &str,
    modules: &BTreeSet<String>,
    shown: &BTreeMap<String, String>,
) -> Option<String> {
    let words: Vec<&str> = path.split("::").collect();
    let starts = (1..=words.len()).rev().map(|count| words[..count].join("::"));
    for start in starts {
        if modules.contains(&start) {
            return Some(start);
        }
        if let Some(made) = shown.get(&start) {
            return module_of(made, modules, shown);
        }
    }
    None
}

/// The shortest way along the arrows from a module to itself.
fn way_back(start: &str, arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in arrows.get(way.last()?).into_iter().flatten() {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push_back([way.clone(), vec![next.clone()]].concat());
            }
        }
    }
    None
}

/// The paths below `crate` that the code of a module names, in its `use` lines
/// and elsewhere: by `crate::`, `super::` and `self::`, groups taken apart.
fn paths_used(code: &str, module: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let is_part = |letter: char| letter.is_alphanumeric() || "_:".contains(letter);
            if code[..at].ends_with(is_part) {
                continue;
            }
            let end = code[at..].find(|letter| !is_part(letter)).map_or(code.len(), |end| at + end);
            let mut text = code[at..end].to_owned();
            if code[end..].starts_with('{') && text.ends_with("::") {
                text.push_str(&format!("{{{}}}", between(&code[end..], '{', '}')));
            }
            for path in without_groups(&text) {
                // `a as b` is a, and `a::{self}` too.
                let path = path.split(" as ").next().expect("a path");
                let path: String = path.split_whitespace().collect();
                paths.push(below_crate(path.trim_end_matches("::self"), module));
            }
        }
    }
    paths
}

/// A path that begins with `crate`, `super` or `self`, as seen from the crate.
fn below_crate(path: &str, module: &str) -> String {
    if let Some(path) = path.strip_prefix("crate::") {
        return path.to_owned();
    }
    let mut above: Vec<&str> = module.split("::").collect();
    let mut rest = path.strip_prefix("self::").unwrap_or(path);
    while let Some(below) = rest.strip_prefix("super::") {
        above.pop();
        rest = below;
    }
    [above, vec![rest]].concat().join("::")
}

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn without_groups(path: &str) -> Vec<String> {
    let Some(open) = path.find('{') else { return vec![path.to_owned()] };
    let (before, inside) = (&path[..open], between(&path[open..], '{', '}'));
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in inside.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        match letter {
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().expect("one").push(letter),
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(|part| without_groups(&format!("{before}{part}"))).collect()
}

/// What a callback may call outside of the guard: what cannot panic, and what
/// runs under the guard itself.
const UNGUARDED: &[&str] =
    &["stack_mark", "report", "code", "unwrap_or", "unwrap_or_else", "from", "load"];

/// A panic in an `extern "C"` function ends the host.
#[test]
fn every_callback_runs_under_the_guard() {
    let mut findings = Vec::new();
    let mut seen = 0;
    for source in sources() {
        for (name, body) in callbacks(&source.code()) {
            seen += 1;
            for call in calls_outside_the_guard(&body) {
                if !UNGUARDED.contains(&call.as_str()) {
                    findings.push(format!("src/{}: {name} calls {call} unguarded", source.path));
                }
            }
        }
    }
    assert!(seen >= 15, "only {seen} callbacks: these are not all");
    none(findings);
}

/// Name and body of each function that C calls.
fn callbacks(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, start) in code.match_indices("extern \"C\" fn ") {
        let rest = &code[at + start.len()..];
        // A type, `extern "C" fn(…)`, has neither name nor body.
        if let Some(open) = rest.find('{') {
            found.push((first_word(rest), between(&rest[open..], '{', '}').to_owned()));
        }
    }
    found
}

/// What stands between the first opening sign and the one that closes it.
fn between(text: &str, open: char, close: char) -> &str {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        if letter == open {
            depth += 1;
        } else if letter == close {
            depth -= 1;
            if depth == 0 {
                return &text[1..at];
            }
        }
    }
    panic!("an {open} without its {close}")
}

/// The functions and macros that a body calls, but for those inside of
/// `guard(…)` and `guard_quietly(…)`.
fn calls_outside_the_guard(body: &str) -> Vec<String> {
    let mut calls = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.find('(') {
        let before = rest[..at].trim_end_matches('!');
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        let name = &before[before.trim_end_matches(is_part).len()..];
        rest = &rest[at..];
        match name {
            "guard" | "guard_quietly" | "guarded_step" | "guarded_file" | "guarded_code"
            | "guarded" => rest = &rest[between(rest, '(', ')').len() + 2..],
            "" | "unsafe" | "match" | "if" | "Err" | "Some" | "Ok" => rest = &rest[1..],
            name => {
                calls.push(name.to_owned());
                rest = &rest[1..];
            }
        }
    }
    calls
}

#[test]
fn unsafe_blocks_say_why_they_are_sound() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("host/")) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.split("//").next().expect("a first part");
            if !code.contains("unsafe {") {
                continue;
            }
            // The comment stands on the same line or closely above.
            let near = &lines[at.saturating_sub(8)..=at];
            if !near.iter().any(|line| line.contains("SAFETY:")) {
                findings.push(format!("src/{}:{}: unsafe without SAFETY:", source.path, at + 1));
            }
        }
    }
    none(findings);
}

#[test]
fn files_are_short_finished_and_say_what_they_are() {
    let mut findings = Vec::new();
    for (folder, most) in
        [("src", MAX_LINES), ("tests", MAX_TEST_LINES), ("benches", MAX_TEST_LINES)]
    {
        for source in sources_below(folder) {
            let lines = source.text.lines().count();
            if lines > most {
                findings.push(format!("{folder}/{}: {lines} lines, more than {most}", source.path));
            }
        }
    }
    for source in sources() {
        if !source.text.starts_with("//!") {
            findings.push(format!("src/{}: does not begin with //!", source.path));
        }
        for word in UNFINISHED.iter().filter(|word| mentions(&source.text, word)) {
            findings.push(format!("src/{}: {word}", source.path));
        }
    }
    none(findings);
}

/// Debian 13 ships Rust 1.85; `if let ... && ...` came with 1.88. What the
/// standard library got later, clippy knows from `rust-version`.
#[test]
fn the_oldest_rust_that_we_promise_can_read_it() {
    let mut findings = Vec::new();
    for source in sources() {
        for line in let_chains(&source.code()) {
            findings.push(format!("src/{}:{line}: a let-chain needs Rust 1.88", source.path));
        }
    }
    none(findings);
}

/// The lines on which a condition that binds something goes on with `&&`.
fn let_chains(code: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for (start, _) in code.match_indices("if let ").chain(code.match_indices("while let ")) {
        let mut depth = 0;
        for (at, letter) in code[start..].char_indices() {
            match letter {
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                '{' if depth == 0 => break,
                '&' if depth == 0 && code[start + at..].starts_with("&& ") => {
                    lines.push(1 + code[..start].matches('\n').count());
                    break;
                }
                _ => {}
            }
        }
    }
    for (start, _) in code.match_indices("&& let ") {
        lines.push(1 + code[..start].matches('\n').count());
    }
    lines
}

#[test]
fn the_rules_see_what_they_should() {
    let used = "use crate::{a::b as x, c};\nuse super::{d, e};\nuse self::f::G;\n\
                use std::fs;\nfn f() { crate::h::i(); super::j::{self} }";
    let mut paths = paths_used(used, "m::n");
    paths.sort();
    assert_eq!(paths, ["a::b", "c", "h::i", "m::d", "m::e", "m::j", "m::n::f::G"]);
    assert_eq!(rooms("a::b::c", "a::d::e"), Some(("a::b".to_owned(), "a::d".to_owned())));
    assert_eq!(rooms("a::b", "a"), None);
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let sources = [
        source("a/mod.rs", "pub use self::b::{C, D};"),
        source("f.rs", "pub use crate::a::C;\nuse crate::a::E;"),
    ];
    let shown = names_shown(&sources);
    let modules = ["a", "a::b", "f"].map(str::to_owned).into();
    assert_eq!(module_of("f::C", &modules, &shown).as_deref(), Some("a::b"));
    assert_eq!(module_of("f::E", &modules, &shown).as_deref(), Some("f"));
    assert_eq!(module_of("a::X", &modules, &shown).as_deref(), Some("a"));
    let arrow = |from: &str, to: &str| (from.to_owned(), BTreeSet::from([to.to_owned()]));
    let arrows =
        BTreeMap::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "a"), arrow("d", "a")]);
    assert_eq!(way_back("a", &arrows).expect("a circle"), ["a", "b", "c"]);
    assert_eq!(way_back("d", &arrows), None);
    let code = "unsafe extern \"C\" fn f(a: u8) -> u8 { let b = guard(|| g(h())); k(b); m!(1) }";
    let found = callbacks(code);
    assert_eq!(found[0].0, "f");
    assert_eq!(calls_outside_the_guard(&found[0].1), ["k", "m"]);
    assert_eq!(let_chains("if a\n && let Some(b) = c {"), [2]);
    assert_eq!(let_chains("if let Some(b) = c\n && b {"), [1]);
    assert_eq!(let_chains("if let Some(b) = c(d && e) {\n f && g }").len(), 0);
    let code =
        "use crate::{error::Result, replica::{attach, sync}, wal};\nfn f() { crate::host::g() }";
    let used: Vec<String> = modules_used(code).into_iter().collect();
    assert_eq!(used, ["error", "host", "replica", "wal"]);
    assert!(mentions("let x = unsafe { 1 };", "unsafe"));
    assert!(!mentions("#![deny(unsafe_code)]", "unsafe"));
    assert!(mentions("std::thread::spawn(f)", "std::thread"));
    assert!(mentions("dbg!(x)", "dbg!"));
}
