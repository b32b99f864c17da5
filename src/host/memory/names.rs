//! Names of databases in memory. SQLite knows each by the URI that opens it
//! again, `file:NAME?vfs=replica`, so it is not taken for a path by anyone.

/// What connections name the VFS by.
pub const VFS: &str = "replica";

const SCHEME: &[u8] = b"file:";
const QUERY: &[u8] = b"?vfs=replica";

/// The files that a database consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    Database,
    Log,
    Journal,
}

/// The URI of the database `name`, where SQLite would read a character of the
/// name as something else, that character in its escaped form.
pub fn uri(name: &[u8]) -> Vec<u8> {
    let mut uri = SCHEME.to_vec();
    for (at, byte) in name.iter().enumerate() {
        // After `file:`, two slashes would begin the name of a machine.
        let is_machine = at == 0 && name.starts_with(b"//");
        if matches!(byte, b'%' | b'?' | b'#') || is_machine {
            uri.extend(format!("%{byte:02X}").bytes());
        } else {
            uri.push(*byte);
        }
    }
    uri.extend(QUERY);
    uri
}

/// How names begin that nobody has given: SQLite itself takes only the whole
/// of it for something else.
const PRIVATE: &[u8] = b":memory:";

/// The URI of a database of one connection alone.
pub fn private(number: u64) -> Vec<u8> {
    uri(&[PRIVATE, number.to_string().as_bytes()].concat())
}

/// Whether it is one of these.
pub fn is_private(uri: &[u8]) -> bool {
    uri.strip_prefix(SCHEME).is_some_and(|name| name.starts_with(PRIVATE))
}

/// The database as a person may want it named: `:memory:` for one that has no
/// name of its own.
pub fn shown(uri: &[u8]) -> &[u8] {
    if is_private(uri) { PRIVATE } else { uri }
}

/// Whether a name of SQLite's is one of these, or made from one.
pub fn is_ours(name: &[u8]) -> bool {
    name.starts_with(SCHEME)
}

/// Takes a file's name apart: the URI of its database, and which of its files
/// it is. None for what SQLite makes of the name besides, such as a
/// super-journal.
pub fn parse(name: &[u8]) -> Option<(&[u8], File)> {
    let files = [(&b""[..], File::Database), (b"-wal", File::Log), (b"-journal", File::Journal)];
    files.into_iter().find_map(|(suffix, file)| {
        let database = name.strip_suffix(suffix)?;
        (database.starts_with(SCHEME) && database.ends_with(QUERY)).then_some((database, file))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_uris_that_mean_them() {
        for (name, expected) in [
            ("app", "file:app?vfs=replica"),
            ("/app", "file:/app?vfs=replica"),
            ("//app", "file:%2F/app?vfs=replica"),
            ("a?b%c#d&e f", "file:a%3Fb%25c%23d&e f?vfs=replica"),
            ("ä", "file:ä?vfs=replica"),
        ] {
            assert_eq!(String::from_utf8(uri(name.as_bytes())).unwrap(), expected);
        }
    }

    #[test]
    fn each_file_is_known_by_its_name() {
        let database = &b"file:app?vfs=replica"[..];
        for (suffix, file) in [
            ("", Some(File::Database)),
            ("-wal", Some(File::Log)),
            ("-journal", Some(File::Journal)),
            ("-mj12345678", None),
        ] {
            let name = [database, suffix.as_bytes()].concat();
            assert_eq!(parse(&name), file.map(|file| (database, file)), "{suffix}");
            assert!(is_ours(&name));
        }
        assert_eq!(parse(b"/folder/app-wal"), None);
        assert!(!is_ours(b"/folder/file:app?vfs=replica"));
    }
}
