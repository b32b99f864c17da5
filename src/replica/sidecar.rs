//! The file `<db>-replica`: what a person wants to know about a replica, and
//! what saves a later attach a question or a pull. Nothing in it is needed to
//! be right, and never the token.
//!
//! Somebody else may have a file of that name. Only one that we have written
//! is replaced or taken away, and only what can be told at once is looked at:
//! no link is followed, no pipe is waited for, nothing large is read.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::primary::{Notebook, Notes};

/// How each of ours begins.
const BEGINNING: &[u8] = b"{\"sync_url\":";

/// More than any of ours is long.
const LIMIT: u64 = 2 << 20;

/// The sidecar of a file that follows a primary.
pub struct Sidecar {
    database: PathBuf,
    path: PathBuf,
    followed: Followed,
    /// Held while it is read and written again.
    writing: Mutex<()>,
}

/// Which database a file follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    pub sync_url: String,
    pub namespace: Option<String>,
}

/// What is found under the name.
enum Present {
    Nothing,
    /// What we have written; null where a power cut left a part of it.
    Ours(Value),
    Foreign,
    /// It cannot be said: no right to read it, no descriptor left.
    Hidden,
}

impl Sidecar {
    pub fn new(database: &Path, followed: Followed) -> Sidecar {
        let (database, path) = (database.to_owned(), path_for(database));
        Sidecar { database, path, followed, writing: Mutex::default() }
    }

    /// Which database the file followed last, as far as is known.
    pub fn remembered(database: &Path) -> Option<Followed> {
        followed(&look(&path_for(database)).json())
    }

    /// Refuses a database beside which the name is taken by something else.
    pub fn check_place(database: &Path) -> Result<()> {
        let path = path_for(database);
        match look(&path) {
            Present::Foreign => Err(Error::new(
                Kind::NotAllowed,
                format!(
                    "{} is not a replica's and was left alone; rename it, because a replica keeps its \
                     notes under this name",
                    path.display()
                ),
            )),
            Present::Nothing | Present::Ours(_) | Present::Hidden => Ok(()),
        }
    }

    fn notes(&self, json: &Value) -> Notes {
        if followed(json).as_ref() != Some(&self.followed) {
            return Notes::default();
        }
        let revisions = json["revisions"].as_array().map(Vec::as_slice).unwrap_or_default();
        Notes {
            protocol: json["protocol"].as_str().map(str::to_owned),
            revisions: revisions.iter().filter_map(|r| r.as_str().map(str::to_owned)).collect(),
        }
    }

    fn json(&self, notes: &Notes) -> Value {
        let protocol = notes.protocol.as_deref().unwrap_or("auto");
        let mut object = json!({ "sync_url": self.followed.sync_url, "protocol": protocol });
        if let Some(namespace) = &self.followed.namespace {
            object["namespace"] = json!(namespace);
        }
        if !notes.revisions.is_empty() {
            object["revisions"] = json!(notes.revisions);
        }
        object
    }

    /// Writes it anew, by way of a file with a name of its own, so that no
    /// reader sees half and no link is followed. It may be read by those who
    /// may read the database.
    fn write(&self, object: &Value, replace: bool) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut prefix = self.path.file_name().unwrap_or_default().to_owned();
        prefix.push(".");
        let mut builder = tempfile::Builder::new();
        let mut temporary: NamedTempFile =
            builder.prefix(&prefix).suffix(".tmp").tempfile_in(folder)?;
        temporary.write_all(format!("{object}\n").as_bytes())?;
        temporary.as_file().set_permissions(fs::metadata(&self.database)?.permissions())?;
        fault::point("sidecar written");
        if replace {
            temporary.persist(&self.path)?;
        } else {
            temporary.persist_noclobber(&self.path)?;
        }
        Ok(())
    }
}

impl Notebook for Sidecar {
    fn read(&self) -> Notes {
        self.notes(&look(&self.path).json())
    }

    fn update(&self, change: &mut dyn FnMut(&mut Notes)) {
        let _writing = self.writing.lock();
        let present = look(&self.path);
        let before = match &present {
            Present::Foreign | Present::Hidden => return,
            Present::Nothing => None,
            Present::Ours(json) => Some(json),
        };
        let unchanged = before.map(|json| self.notes(json)).unwrap_or_default();
        let mut notes = unchanged.clone();
        change(&mut notes);
        if notes != unchanged {
            // If that fails (a full disk, a folder that is read-only), it
            // stays as it is, or there is none.
            let _ = self.write(&self.json(&notes), before.is_some());
        }
    }
}

impl Present {
    fn json(self) -> Value {
        match self {
            Present::Ours(json) => json,
            Present::Nothing | Present::Foreign | Present::Hidden => Value::Null,
        }
    }
}

fn look(path: &Path) -> Present {
    match read(path) {
        Ok(bytes) => match serde_json::from_slice::<Value>(&bytes) {
            Ok(json) if json["sync_url"].is_string() && json["protocol"].is_string() => {
                Present::Ours(json)
            }
            Err(_) if is_what_a_power_cut_left(&bytes) => Present::Ours(Value::Null),
            _ => Present::Foreign,
        },
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Present::Nothing,
            io::ErrorKind::InvalidData => Present::Foreign,
            _ => Present::Hidden,
        },
    }
}

/// Nothing, zeros, or a part of what we write.
fn is_what_a_power_cut_left(bytes: &[u8]) -> bool {
    let length = bytes.len().min(BEGINNING.len());
    bytes.iter().all(|byte| *byte == 0) || bytes[..length] == BEGINNING[..length]
}

/// A regular file of a moderate size.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let refused = || io::Error::from(io::ErrorKind::InvalidData);
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(refused());
    }
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // It may have become something else since.
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    let mut bytes = Vec::new();
    if !file.metadata()?.is_file() || file.take(LIMIT + 1).read_to_end(&mut bytes)? as u64 > LIMIT {
        return Err(refused());
    }
    Ok(bytes)
}

fn followed(json: &Value) -> Option<Followed> {
    let sync_url = json["sync_url"].as_str()?.to_owned();
    Some(Followed { sync_url, namespace: json["namespace"].as_str().map(str::to_owned) })
}

/// Takes it away, if it is there and ours.
pub fn remove(database: &Path) {
    let path = path_for(database);
    if let Present::Ours(_) = look(&path) {
        let _ = fs::remove_file(path);
    }
}

fn path_for(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-replica");
    PathBuf::from(path)
}
