//! The file `<db>-replica`: what a person wants to know about a replica, and
//! what saves a later attach a question or a pull. Nothing in it is needed to
//! be right, and never the token.
//!
//! Somebody else may have a file of that name. Only one that we have written
//! is replaced or taken away, and only what can be told at once is looked at:
//! no link is followed, no pipe is waited for, nothing large is read.
//!
//! A replica in memory keeps it with the database.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::host::memory::Store;
use crate::primary::{Notebook, Notes};
use crate::store::file::ReplicaFile;

/// How each of ours begins.
const BEGINNING: &[u8] = b"{\"sync_url\":";

/// What is noted for other processes to see.
const HEALTH: &str = "health";

/// More than any of ours is long.
const LIMIT: u64 = 2 << 20;

/// The sidecar of a file that follows a primary.
pub struct Sidecar {
    place: Place,
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

/// Where it is kept.
enum Place {
    File {
        database: PathBuf,
        path: PathBuf,
    },
    /// With a database in memory.
    Memory(Arc<Store>),
}

impl Place {
    fn of(database: &ReplicaFile) -> Place {
        match database.in_memory() {
            Some(store) => Place::Memory(store),
            None => Place::File {
                database: database.path().to_owned(),
                path: path_for(database.path()),
            },
        }
    }

    fn look(&self) -> Present {
        let note = match self {
            Place::File { path, .. } => return look(path),
            Place::Memory(store) => store.note(),
        };
        serde_json::from_str(&note).map_or(Present::Nothing, Present::Ours)
    }

    fn write(&self, object: &Value, replace: bool) -> io::Result<()> {
        match self {
            Place::File { database, path } => write(database, path, object, replace),
            Place::Memory(store) => {
                store.set_note(object.to_string());
                Ok(())
            }
        }
    }
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
    pub fn new(database: &ReplicaFile, followed: Followed) -> Sidecar {
        Sidecar { place: Place::of(database), followed, writing: Mutex::default() }
    }

    /// Which database the file followed last, as far as is known.
    pub fn remembered(database: &ReplicaFile) -> Option<Followed> {
        followed(&Place::of(database).look().json())
    }

    /// Refuses a database beside which the name is taken by something else.
    pub fn check_place(database: &ReplicaFile) -> Result<()> {
        let path = path_for(database.path());
        match Place::of(database).look() {
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

    /// Changes what is noted of the replica's health, where there are notes of
    /// this very replica. As with all of them, a failure leaves what there is.
    pub fn note(&self, change: impl FnOnce(&Value) -> Value) {
        if let Place::Memory(_) = self.place {
            return;
        }
        let _writing = self.writing.lock();
        let Present::Ours(mut json) = self.place.look() else { return };
        if followed(&json).as_ref() == Some(&self.followed) {
            json[HEALTH] = change(&json[HEALTH]);
            let _ = self.place.write(&json, true);
        }
    }
}

/// What another process finds beside a database.
pub enum Beside {
    Nothing,
    Foreign,
    Hidden,
    Notes { sync_url: String, health: Value },
}

pub fn beside(database: &Path) -> Beside {
    match look(&path_for(database)) {
        Present::Nothing => Beside::Nothing,
        Present::Foreign => Beside::Foreign,
        Present::Hidden => Beside::Hidden,
        Present::Ours(json) => Beside::Notes {
            sync_url: json["sync_url"].as_str().unwrap_or_default().to_owned(),
            health: json[HEALTH].clone(),
        },
    }
}

impl Notebook for Sidecar {
    fn read(&self) -> Notes {
        self.notes(&self.place.look().json())
    }

    fn update(&self, change: &mut dyn FnMut(&mut Notes)) {
        let _writing = self.writing.lock();
        let present = self.place.look();
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
            let mut json = self.json(&notes);
            if let Some(health) = before.filter(|before| followed(before) == followed(&json)) {
                if let Some(health) = health.get(HEALTH) {
                    json[HEALTH] = health.clone();
                }
            }
            let _ = self.place.write(&json, before.is_some());
        }
    }
}

/// Writes it anew, by way of a file with a name of its own, so that no
/// reader sees half and no link is followed. It may be read by those who
/// may read the database.
fn write(database: &Path, path: &Path, object: &Value, replace: bool) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut prefix = path.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    let mut temporary: NamedTempFile =
        builder.prefix(&prefix).suffix(".tmp").tempfile_in(folder)?;
    temporary.write_all(format!("{object}\n").as_bytes())?;
    temporary.as_file().set_permissions(fs::metadata(database)?.permissions())?;
    fault::point("sidecar written");
    if replace {
        temporary.persist(path)?;
    } else {
        temporary.persist_noclobber(path)?;
    }
    Ok(())
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
pub fn remove(database: &ReplicaFile) {
    match (Place::of(database), Place::of(database).look()) {
        (Place::File { path, .. }, Present::Ours(_)) => drop(fs::remove_file(path)),
        (Place::File { .. }, _) => {}
        (Place::Memory(store), _) => store.set_note(String::new()),
    }
}

fn path_for(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-replica");
    PathBuf::from(path)
}
