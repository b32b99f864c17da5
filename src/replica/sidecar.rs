//! The file `<db>-replica`: what a person wants to know about a replica, and
//! what saves a later attach a question. Nothing in it is needed to be right,
//! and never the token.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::fault;

/// Writes it anew, by way of a temporary file, so that no reader sees half. If
/// that fails (a full disk, a folder that is read-only), there is none.
pub fn write(database: &Path, sync_url: &str, protocol: &str) {
    let text = format!("{}\n", json!({ "sync_url": sync_url, "protocol": protocol }));
    let path = path_for(database);
    if fs::read_to_string(&path).is_ok_and(|present| present == text) {
        return;
    }
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::write(&temporary, text).and_then(|()| {
        fault::point("sidecar written");
        fs::rename(&temporary, &path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
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
