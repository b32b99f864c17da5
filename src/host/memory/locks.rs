//! Who holds which lock of a database in memory: those of the file
//! (sqlite.org/c3ref/io_methods.html, xLock) and the eight of the wal-index
//! (xShmLock). Nobody ever waits here; SQLite's busy handlers do.

/// How much of the database file a connection has locked, in SQLite's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

impl Level {
    /// From SQLite's number of it.
    pub fn new(number: i32) -> Level {
        match number {
            i32::MIN..=0 => Level::None,
            1 => Level::Shared,
            2 => Level::Reserved,
            3 => Level::Pending,
            4..=i32::MAX => Level::Exclusive,
        }
    }
}

/// A lock that somebody else holds is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken;

/// What one open file holds of the locks. To be given back before it is
/// dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    level: Level,
    /// Sets of the eight locks of the wal-index.
    shared: u8,
    exclusive: u8,
}

/// The locks of one database.
#[derive(Debug, Default)]
pub struct Locks {
    /// Files that hold `Shared` or more.
    readers: usize,
    /// How far the one that holds more is: `None` if nobody does.
    writer: Level,
    /// Holders of each lock of the wal-index.
    shared: [usize; 8],
    exclusive: u8,
}

impl Locks {
    /// Raises what `held` has of the file to `level`. A try for `Exclusive`
    /// that fails leaves `Pending`: no further reader comes in.
    pub fn raise(&mut self, held: &mut Held, level: Level) -> Result<(), Taken> {
        if level <= held.level {
            return Ok(());
        }
        let is_writer = held.level > Level::Shared;
        if level == Level::Shared {
            if self.writer >= Level::Pending {
                return Err(Taken);
            }
            self.readers += 1;
            held.level = Level::Shared;
            return Ok(());
        }
        if !is_writer && self.writer > Level::None {
            return Err(Taken);
        }
        let reached =
            if level == Level::Exclusive && self.readers > 1 { Level::Pending } else { level };
        self.writer = reached;
        held.level = reached;
        if reached < level { Err(Taken) } else { Ok(()) }
    }

    /// Lowers what `held` has of the file to `level`: `Shared` or `None`.
    pub fn lower(&mut self, held: &mut Held, level: Level) {
        if level >= held.level {
            return;
        }
        if held.level > Level::Shared {
            self.writer = Level::None;
        }
        if level == Level::None {
            self.readers -= 1;
        }
        held.level = level;
    }

    /// Whether somebody is about to write the file.
    pub fn is_reserved(&self) -> bool {
        self.writer >= Level::Reserved
    }

    /// Takes a set of the wal-index' locks, all or none, beside other readers.
    pub fn share(&mut self, held: &mut Held, set: u8) -> Result<(), Taken> {
        let new = set & !held.shared;
        if self.exclusive & new != 0 {
            return Err(Taken);
        }
        each(new, |slot| self.shared[slot] += 1);
        held.shared |= new;
        Ok(())
    }

    /// Takes a set of the wal-index' locks, all or none, alone.
    pub fn take(&mut self, held: &mut Held, set: u8) -> Result<(), Taken> {
        let mut free = self.exclusive & set & !held.exclusive == 0;
        each(set, |slot| {
            let own = usize::from(held.shared & (1 << slot) != 0);
            free &= self.shared[slot] == own;
        });
        if !free {
            return Err(Taken);
        }
        self.exclusive |= set;
        held.exclusive |= set;
        Ok(())
    }

    /// Gives a set of the wal-index' locks back, those of it that are held.
    pub fn release(&mut self, held: &mut Held, set: u8) {
        self.exclusive &= !(held.exclusive & set);
        each(held.shared & set, |slot| self.shared[slot] -= 1);
        held.exclusive &= !set;
        held.shared &= !set;
    }

    /// Gives everything back.
    pub fn release_all(&mut self, held: &mut Held) {
        self.release(held, u8::MAX);
        self.lower(held, Level::None);
    }
}

fn each(set: u8, mut body: impl FnMut(usize)) {
    (0..8).filter(|slot| set & (1 << slot) != 0).for_each(&mut body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_lets_readers_in_until_it_is_pending() {
        let mut locks = Locks::default();
        let [mut a, mut b, mut c] = [Held::default(); 3];
        locks.raise(&mut a, Level::Shared).unwrap();
        locks.raise(&mut b, Level::Shared).unwrap();
        locks.raise(&mut a, Level::Reserved).unwrap();
        assert_eq!(locks.raise(&mut b, Level::Reserved), Err(Taken), "one writer at a time");
        assert!(locks.is_reserved());
        locks.raise(&mut c, Level::Shared).unwrap();
        locks.lower(&mut c, Level::None);
        assert_eq!(locks.raise(&mut a, Level::Exclusive), Err(Taken), "b reads");
        assert_eq!(locks.raise(&mut c, Level::Shared), Err(Taken), "a waits");
        locks.lower(&mut b, Level::None);
        locks.raise(&mut a, Level::Exclusive).unwrap();
        assert_eq!(locks.raise(&mut c, Level::Shared), Err(Taken));
        locks.lower(&mut a, Level::Shared);
        locks.raise(&mut c, Level::Shared).unwrap();
        assert!(!locks.is_reserved());
        locks.release_all(&mut a);
        locks.release_all(&mut c);
        assert_eq!((locks.readers, locks.writer), (0, Level::None));
    }

    #[test]
    fn a_hot_journal_is_claimed_from_shared_by_one_only() {
        let mut locks = Locks::default();
        let [mut a, mut b] = [Held::default(); 2];
        locks.raise(&mut a, Level::Shared).unwrap();
        locks.raise(&mut b, Level::Shared).unwrap();
        assert_eq!(locks.raise(&mut a, Level::Exclusive), Err(Taken));
        assert_eq!(locks.raise(&mut b, Level::Exclusive), Err(Taken));
        locks.lower(&mut a, Level::None);
        locks.raise(&mut b, Level::Exclusive).unwrap();
        locks.release_all(&mut b);
        assert_eq!((locks.readers, locks.writer), (0, Level::None));
    }

    #[test]
    fn locks_of_the_index_are_taken_all_or_none() {
        let mut locks = Locks::default();
        let [mut a, mut b] = [Held::default(); 2];
        locks.share(&mut a, 0b1000).unwrap();
        locks.share(&mut b, 0b1000).unwrap();
        assert_eq!(locks.take(&mut a, 0b1_1000), Err(Taken));
        locks.take(&mut b, 0b1_0000).unwrap();
        locks.release(&mut b, 0b1_1000);
        locks.take(&mut a, 0b1_1000).unwrap();
        assert_eq!(locks.share(&mut b, 0b0100), Ok(()));
        assert_eq!(locks.share(&mut b, 0b1_0000), Err(Taken));
        assert_eq!(locks.take(&mut b, 0b1_0100), Err(Taken));
        locks.release_all(&mut a);
        locks.take(&mut b, 0b1_0100).unwrap();
        locks.release_all(&mut b);
        assert_eq!((locks.shared, locks.exclusive), ([0; 8], 0));
    }
}
