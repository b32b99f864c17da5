//! The databases in memory that this process has open, by name. One lives as
//! long as some connection has a file of it open.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Weak};

use memmap2::MmapMut;
use parking_lot::{Mutex, RwLock};

use super::bytes::{Bytes, OutOfMemory, leave_some, zeros};
use super::locks::Locks;
use super::names::{self, File};

pub type Content = RwLock<Bytes>;

/// One database, with its log, its journal, its locks and its wal-index.
pub struct Store {
    /// None for a temporary file, which nobody else opens.
    uri: Option<Vec<u8>>,
    database: Arc<Content>,
    log: Mutex<Option<Arc<Content>>>,
    journal: Mutex<Option<Arc<Content>>>,
    pub locks: Mutex<Locks>,
    index: Mutex<Index>,
    /// What its owner keeps with it.
    note: Mutex<String>,
}

/// The shared memory of the wal-index: there while some connection maps it.
#[derive(Default)]
struct Index {
    regions: Vec<MmapMut>,
    mapped_by: usize,
}

static STORES: LazyLock<Mutex<BTreeMap<Vec<u8>, Weak<Store>>>> = LazyLock::new(Mutex::default);

impl Store {
    fn new(uri: Option<Vec<u8>>) -> Result<Arc<Store>, OutOfMemory> {
        leave_some()?;
        Ok(Arc::new(Store {
            uri,
            database: Arc::default(),
            log: Mutex::default(),
            journal: Mutex::default(),
            locks: Mutex::default(),
            index: Mutex::default(),
            note: Mutex::default(),
        }))
    }

    /// A file without a name.
    pub fn temporary() -> Result<Arc<Store>, OutOfMemory> {
        Store::new(None)
    }

    /// The database of this name, if somebody has it open.
    pub fn find(uri: &[u8]) -> Option<Arc<Store>> {
        STORES.lock().get(uri).and_then(Weak::upgrade)
    }

    /// The database of this name, a new and empty one if there is none.
    pub fn find_or_make(uri: &[u8]) -> Result<Arc<Store>, OutOfMemory> {
        let mut stores = STORES.lock();
        if let Some(store) = stores.get(uri).and_then(Weak::upgrade) {
            return Ok(store);
        }
        let store = Store::new(Some(uri.to_vec()))?;
        stores.insert(uri.to_vec(), Arc::downgrade(&store));
        Ok(store)
    }

    /// The name that SQLite has for it; empty for a temporary file.
    pub fn uri(&self) -> &[u8] {
        self.uri.as_deref().unwrap_or_default()
    }

    /// Whether it was made for one connection.
    pub fn is_private(&self) -> bool {
        names::is_private(self.uri())
    }

    /// What it is called where a person reads it.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(names::shown(self.uri())).into_owned()
    }

    /// Whether it is `file:NAME?vfs=replica`.
    pub fn is_named(&self, name: &str) -> bool {
        self.uri() == names::uri(name.as_bytes())
    }

    fn place(&self, file: File) -> Option<&Mutex<Option<Arc<Content>>>> {
        match file {
            File::Database => None,
            File::Log => Some(&self.log),
            File::Journal => Some(&self.journal),
        }
    }

    /// One of its files; None if it does not exist and is not to be made.
    pub fn file(&self, file: File, make: bool) -> Option<Arc<Content>> {
        let Some(place) = self.place(file) else { return Some(self.database.clone()) };
        let mut content = place.lock();
        if make && content.is_none() {
            *content = Some(Arc::default());
        }
        content.clone()
    }

    /// Takes the log or the journal away; whether it was there. Who has it
    /// open keeps what was in it.
    pub fn delete(&self, file: File) -> bool {
        self.place(file).is_some_and(|place| place.lock().take().is_some())
    }

    /// Address of a region of the wal-index, as one more that maps it if
    /// `first`; None if it does not exist and is not to be made.
    pub fn map(
        &self,
        region: usize,
        size: usize,
        make: bool,
        first: bool,
    ) -> Result<Option<*mut u8>, OutOfMemory> {
        let mut index = self.index.lock();
        while make && index.regions.len() <= region {
            index.regions.try_reserve(1).map_err(|_| OutOfMemory)?;
            index.regions.push(zeros(size)?);
        }
        index.mapped_by += usize::from(first);
        Ok(index.regions.get_mut(region).map(|region| region.as_mut_ptr()))
    }

    /// One less maps the wal-index. It goes with the last: who comes next
    /// finds none, and builds it from the log.
    pub fn unmap(&self) {
        let mut index = self.index.lock();
        index.mapped_by -= 1;
        if index.mapped_by == 0 {
            index.regions = Vec::new();
        }
    }

    pub fn note(&self) -> String {
        self.note.lock().clone()
    }

    pub fn set_note(&self, note: String) {
        *self.note.lock() = note;
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let Some(uri) = &self.uri else { return };
        let mut stores = STORES.lock();
        // Another one may have taken its name since its last user let it go.
        if stores.get(uri).is_some_and(|store| store.strong_count() == 0) {
            stores.remove(uri);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_lives_as_long_as_somebody_has_it() {
        let store = Store::find_or_make(b"file:lives?vfs=replica").unwrap();
        store.file(File::Database, false).unwrap().write().write(b"x", 0).unwrap();
        let second = Store::find_or_make(b"file:lives?vfs=replica").unwrap();
        drop(store);
        assert_eq!(second.file(File::Database, false).unwrap().read().size(), 1);
        assert!(Store::find(b"file:lives?vfs=replica").is_some());
        drop(second);
        assert!(Store::find(b"file:lives?vfs=replica").is_none());
        assert!(!STORES.lock().contains_key(&b"file:lives?vfs=replica"[..]));
    }

    #[test]
    fn a_file_that_is_deleted_stays_with_who_has_it_open() {
        let store = Store::temporary().unwrap();
        assert!(store.file(File::Log, false).is_none());
        let log = store.file(File::Log, true).unwrap();
        log.write().write(b"frames", 0).unwrap();
        assert!(store.delete(File::Log));
        assert!(!store.delete(File::Log));
        assert_eq!(log.read().size(), 6);
        assert_eq!(store.file(File::Log, true).unwrap().read().size(), 0);
    }

    #[test]
    fn the_index_goes_with_the_last_that_maps_it() {
        let store = Store::temporary().unwrap();
        assert_eq!(store.map(0, 32768, false, true).unwrap(), None);
        let made = store.map(1, 32768, true, false).unwrap();
        assert_eq!(store.map(1, 32768, false, true).unwrap(), made, "all see one memory");
        store.unmap();
        assert_eq!(store.map(1, 32768, false, false).unwrap(), made);
        store.unmap();
        assert_eq!(store.map(0, 32768, false, true).unwrap(), None);
    }
}
