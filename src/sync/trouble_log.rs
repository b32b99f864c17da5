//! The file of the option `log`: a line when a worker's trouble begins, and one
//! when it is over.
//!
//! Whoever writes the SQL names the file, so only one that begins as ours do is
//! written to: no shell script, no list of keys, no link, no pipe.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::calendar::date;
use crate::clock::now_unix_ms;
use crate::error::{Error, Kind, Result};
use crate::host::has_lock_on;

/// How each of ours begins.
const BEGINNING: &str = "# log of sqlite-replica\n";

/// What is longer begins anew: a log of years of trouble is not read.
const LIMIT: u64 = 1 << 20;

/// No error is as long; a server may say what it likes.
const LONGEST_LINE: usize = 2000;

pub struct TroubleLog {
    path: PathBuf,
}

impl TroubleLog {
    /// Makes the file, or finds one of ours.
    pub fn open(path: &Path) -> Result<TroubleLog> {
        match open(path) {
            Ok(_) => Ok(TroubleLog { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Error::new(
                Kind::NotAllowed,
                format!(
                    "option log: {} is not a log of this extension and was left alone; name a new file",
                    path.display()
                ),
            )),
            Err(error) => {
                let text = format!("option log: {} cannot be written: {error}", path.display());
                Err(Error::new(Kind::BadArgument, text))
            }
        }
    }

    /// Adds a line. The file is opened each time, so that it may be moved away;
    /// where that fails, nobody is told.
    pub fn add(&self, text: &str) {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.chars().take(LONGEST_LINE).map(printable).collect();
        let line = format!("{} {text}\n", timestamp(now_unix_ms()));
        let _ = open(&self.path).and_then(|mut file| {
            if file.metadata()?.len() + line.len() as u64 > LIMIT {
                file.set_len(0)?;
                file.write_all(BEGINNING.as_bytes())?;
            }
            file.write_all(line.as_bytes())
        });
    }
}

/// The file at its end; `InvalidData` if it is none of ours.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let not_ours = || io::Error::from(io::ErrorKind::InvalidData);
    let is_other = |found: std::fs::Metadata| !found.is_file();
    if std::fs::symlink_metadata(path).is_ok_and(is_other) || has_lock_on(path) {
        return Err(not_ours());
    }
    let mut file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(not_ours());
    }
    let mut beginning = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    (&file).take(BEGINNING.len() as u64).read_to_end(&mut beginning)?;
    match beginning.as_slice() {
        [] => file.write_all(BEGINNING.as_bytes())?,
        found if found == BEGINNING.as_bytes() => {}
        _ => return Err(not_ours()),
    }
    Ok(file)
}

/// `2026-01-31T12:00:00.000Z`
fn timestamp(unix_ms: i64) -> String {
    let (days, ms) = (unix_ms.div_euclid(86_400_000), unix_ms.rem_euclid(86_400_000));
    let (year, month, day) = date(days);
    let (second, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_001, "2025-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(unix_ms), text);
        }
    }

    #[test]
    fn a_log_has_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = TroubleLog::open(&path).unwrap();
        let line = "x\ny".repeat(600);
        for _ in 0..700 {
            log.add(&line);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(BEGINNING) && text.len() as u64 <= LIMIT, "{}", text.len());
        assert!(text.len() > 1000 && text.lines().skip(1).all(|line| line.contains("Z x yx")));
    }
}
