//! The certificate authorities of a file.

use std::io::Read as _;
use std::path::Path;

use ureq::tls::{Certificate, PemItem, parse_pem};

use crate::error::{Error, Kind, Result};
use crate::regular_file;

/// Ten times what a distribution's bundle takes.
const MAX_FILE: u64 = 2 * 1024 * 1024;

/// The certificates in a PEM file. One error for whatever is wrong with it:
/// whoever writes the SQL names the file, and may learn nothing about files.
pub(super) fn read(path: &Path) -> Result<Vec<Certificate<'static>>> {
    certificates(path).ok_or_else(|| {
        let text = format!(
            "cannot use ca_file {}: it is no file that can be read and holds certificates in PEM \
             form",
            path.display()
        );
        Error::new(Kind::BadArgument, text)
    })
}

fn certificates(path: &Path) -> Option<Vec<Certificate<'static>>> {
    let (file, metadata) = regular_file::open(path).ok()?;
    if metadata.len() > MAX_FILE {
        return None;
    }
    let mut pem = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut pem).ok()?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.ok()? {
            certificates.push(certificate);
        }
    }
    (!certificates.is_empty()).then_some(certificates)
}
