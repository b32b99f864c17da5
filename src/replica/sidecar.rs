//! The file `<db>-replica`: what a person wants to know about a replica, and
//! what saves a later attach a question or a pull. Nothing in it is needed to
//! be right, and never the token.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::fault;
use crate::primary::{Notebook, Notes};

/// The sidecar of a file that follows the primary at this URL.
pub struct Sidecar {
    path: PathBuf,
    followed: Followed,
}

/// Which database a file follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    pub sync_url: String,
    pub namespace: Option<String>,
}

impl Sidecar {
    pub fn new(database: &Path, followed: Followed) -> Sidecar {
        Sidecar { path: path_for(database), followed }
    }

    /// Which database the file followed last, as far as is known.
    pub fn remembered(database: &Path) -> Option<Followed> {
        followed(&read(&path_for(database)))
    }

    /// A name that no other thread or process writes to.
    fn temporary(&self) -> PathBuf {
        let (process, thread) = (std::process::id(), std::thread::current().id());
        let thread: String = format!("{thread:?}").chars().filter(char::is_ascii_digit).collect();
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{process}.{thread}.tmp"));
        PathBuf::from(path)
    }
}

impl Notebook for Sidecar {
    fn read(&self) -> Notes {
        let json = read(&self.path);
        if followed(&json).as_ref() != Some(&self.followed) {
            return Notes::default();
        }
        let revisions = json["revisions"].as_array().map(Vec::as_slice).unwrap_or_default();
        Notes {
            protocol: json["protocol"].as_str().map(str::to_owned),
            revisions: revisions.iter().filter_map(|r| r.as_str().map(str::to_owned)).collect(),
        }
    }

    /// Writes it anew, by way of a temporary file, so that no reader sees half.
    /// If that fails (a full disk, a folder that is read-only), it stays as it
    /// is, or there is none.
    fn write(&self, notes: &Notes) {
        let protocol = notes.protocol.as_deref().unwrap_or("auto");
        let mut object = json!({ "sync_url": self.followed.sync_url, "protocol": protocol });
        if let Some(namespace) = &self.followed.namespace {
            object["namespace"] = json!(namespace);
        }
        if !notes.revisions.is_empty() {
            object["revisions"] = json!(notes.revisions);
        }
        let text = format!("{object}\n");
        if fs::read_to_string(&self.path).is_ok_and(|present| present == text) {
            return;
        }
        let temporary = self.temporary();
        let written = fs::write(&temporary, text).and_then(|()| {
            fault::point("sidecar written");
            fs::rename(&temporary, &self.path)
        });
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
    }
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn followed(json: &Value) -> Option<Followed> {
    let sync_url = json["sync_url"].as_str()?.to_owned();
    Some(Followed { sync_url, namespace: json["namespace"].as_str().map(str::to_owned) })
}

/// Takes it away, if it is there.
pub fn remove(database: &Path) {
    let _ = fs::remove_file(path_for(database));
}

fn path_for(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-replica");
    PathBuf::from(path)
}
