//! A database in memory, for tests: files and wal-index that a process may die
//! over at any store, and what SQLite itself does to them, in the order of its
//! `wal.c` (3.40): recovery, checkpoint, restart of the log, and what a reader
//! sees. Locks are not modelled: one process at a time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::rc::Rc;

use super::checksum::{Checksum, WordOrder};
use super::frame::{self, FrameHeader};
use super::header::{self, WalHeader};
use super::index::{self, Cells, IndexHeader, SEGMENT_SLOTS, SEGMENT_WORDS};
use super::medium::{Medium, Step};
use crate::error::Result;
use crate::units::{PAGE_SIZE, PageImage, PageNo};

/// What is left when all processes have died, or all but one idle reader.
#[derive(Clone, Default, PartialEq)]
pub struct Files {
    pub database: Vec<u8>,
    pub log: Vec<u8>,
    pub index: Vec<SegmentMemory>,
}

#[derive(Clone, PartialEq)]
pub struct SegmentMemory {
    words: Vec<u32>,
    slots: Vec<u16>,
}

/// Panic payload of a process that dies.
pub struct Death;

/// One process over the files.
#[derive(Clone)]
pub struct Process(Rc<Inner>);

struct Inner {
    files: RefCell<Files>,
    /// Stores that are left to it.
    life: u64,
    stores: Cell<u64>,
    /// Half of the write at which it dies is done.
    half: bool,
    dead: Cell<bool>,
    /// Its death was told to whoever drove it.
    buried: Cell<bool>,
    random: Cell<u32>,
    steps: RefCell<Vec<Step>>,
}

impl Process {
    /// One that dies at the store after `life` others.
    pub fn new(files: Files, life: u64, half: bool) -> Process {
        Process(Rc::new(Inner {
            files: RefCell::new(files),
            life,
            stores: Cell::new(0),
            half,
            dead: Cell::new(false),
            buried: Cell::new(false),
            random: Cell::new(1),
            steps: RefCell::default(),
        }))
    }

    pub fn immortal(files: Files) -> Process {
        Process::new(files, u64::MAX, false)
    }

    pub fn files(&self) -> Files {
        self.0.files.borrow().clone()
    }

    /// How many stores it has made.
    pub fn stores(&self) -> u64 {
        self.0.stores.get()
    }

    pub fn steps(&self) -> Vec<Step> {
        self.0.steps.borrow().clone()
    }

    /// Counts a store; whether it happens.
    fn lives(&self) -> bool {
        if self.0.dead.get() {
            return false;
        }
        if self.0.stores.get() == self.0.life {
            self.0.dead.set(true);
            return false;
        }
        self.0.stores.set(self.0.stores.get() + 1);
        true
    }

    fn die_if_dead(&self) {
        // What is dropped on the way out must not die a second time.
        if self.0.dead.get() && !self.0.buried.replace(true) {
            resume_unwind(Box::new(Death));
        }
    }

    fn write(&self, file: fn(&mut Files) -> &mut Vec<u8>, bytes: &[u8], at: u64) {
        let was_dead = self.0.dead.get();
        let length = match self.lives() {
            true => bytes.len(),
            false if self.0.half && !was_dead => bytes.len() / 2,
            false => 0,
        };
        if length > 0 {
            let mut files = self.0.files.borrow_mut();
            let (file, at) = (file(&mut files), at as usize);
            file.resize(file.len().max(at + length), 0);
            file[at..at + length].copy_from_slice(&bytes[..length]);
        }
        self.die_if_dead();
    }

    fn cut(&self, file: fn(&mut Files) -> &mut Vec<u8>, size: usize) {
        if self.lives() {
            file(&mut self.0.files.borrow_mut()).truncate(size);
        }
        self.die_if_dead();
    }

    fn read(&self, file: &[u8], bytes: &mut [u8], at: u64) {
        let rest = file.get(at as usize..).unwrap_or_default();
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        bytes[length..].fill(0);
    }
}

impl Medium for Process {
    type Segment = SegmentOf;

    fn read_log(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        self.read(&self.0.files.borrow().log, bytes, at);
        Ok(())
    }

    fn write_log(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.write(|files| &mut files.log, bytes, at);
        Ok(())
    }

    fn sync_log(&self) -> Result<()> {
        Ok(())
    }

    fn read_database(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        self.read(&self.0.files.borrow().database, bytes, at);
        Ok(())
    }

    fn write_database(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.write(|files| &mut files.database, bytes, at);
        Ok(())
    }

    fn sync_database(&self) -> Result<()> {
        Ok(())
    }

    fn cut_database(&self, size: u64) -> Result<()> {
        self.cut(|files| &mut files.database, size as usize);
        Ok(())
    }

    fn database_size(&self) -> Result<u64> {
        Ok(self.0.files.borrow().database.len() as u64)
    }

    fn segment(&self, number: usize) -> Result<SegmentOf> {
        let index = &mut self.0.files.borrow_mut().index;
        while index.len() <= number {
            let (words, slots) = (vec![0; SEGMENT_WORDS], vec![0; SEGMENT_SLOTS]);
            index.push(SegmentMemory { words, slots });
        }
        Ok(SegmentOf { process: self.clone(), number })
    }

    fn barrier(&self) {}

    fn random(&self) -> u32 {
        self.0.random.set(self.0.random.get().wrapping_mul(747_796_405).wrapping_add(12_345));
        self.0.random.get()
    }

    fn passed(&self, step: Step) {
        self.0.steps.borrow_mut().push(step);
    }
}

/// A segment of the wal-index of a process.
pub struct SegmentOf {
    process: Process,
    number: usize,
}

impl Cells for SegmentOf {
    fn word(&self, at: usize) -> u32 {
        self.process.0.files.borrow().index[self.number].words[at]
    }

    fn set_word(&self, at: usize, value: u32) {
        if self.process.lives() {
            self.process.0.files.borrow_mut().index[self.number].words[at] = value;
        }
        self.process.die_if_dead();
    }

    fn slot(&self, at: usize) -> u16 {
        self.process.0.files.borrow().index[self.number].slots[at]
    }

    fn set_slot(&self, at: usize, value: u16) {
        if self.process.lives() {
            self.process.0.files.borrow_mut().index[self.number].slots[at] = value;
        }
        self.process.die_if_dead();
    }
}

/// What SQLite does.
impl Process {
    /// The header that a reader uses; recovers the log where it has to.
    pub fn header(&self) -> IndexHeader {
        let first = self.segment(0).unwrap();
        IndexHeader::read(&first, || ()).unwrap_or_else(|_| {
            self.recover();
            IndexHeader::read(&first, || ()).expect("an index that was just made")
        })
    }

    /// `walIndexRecover`.
    fn recover(&self) {
        let first = self.segment(0).unwrap();
        let mut bytes = [0; header::SIZE];
        self.read_log(&mut bytes, 0).unwrap();
        let mut found = IndexHeader {
            change: 0,
            order: WordOrder::NATIVE,
            max_frame: 0,
            pages: 0,
            frame_checksum: Checksum::default(),
            salt: [0; 8],
        };
        if let Some((log, mut checksum)) = WalHeader::decode(&bytes) {
            (found.order, found.salt) = (log.order, log.salt);
            found.frame_checksum = checksum;
            for number in 1.. {
                let (mut head, mut image) = ([0; frame::HEADER_SIZE], [0; PAGE_SIZE]);
                if frame::offset(number + 1) > self.0.files.borrow().log.len() as u64 {
                    break;
                }
                self.read_log(&mut head, frame::offset(number)).unwrap();
                self.read_log(&mut image, frame::offset(number) + 24).unwrap();
                let head = FrameHeader::decode(&head);
                if !head.verify(log.salt, &image, checksum, log.order) {
                    break;
                }
                checksum = head.checksum;
                self.enter(number, head.page, found.max_frame);
                if head.commit_size != 0 {
                    (found.max_frame, found.pages) = (number, head.commit_size);
                    found.frame_checksum = checksum;
                }
            }
        }
        found.publish(&first, || ());
        index::reset_checkpoint_info(&first);
    }

    /// `walIndexAppend` with `walCleanupHash`, which looks at the place that it
    /// is about to use and clears page numbers from the front.
    fn enter(&self, number: u32, page: PageNo, committed: u32) {
        let segment = self.segment(index::segment_of(number)).unwrap();
        assert_eq!(index::segment_of(number), 0, "the model has one segment");
        let word = |frame: u32| 34 + frame as usize - 1;
        if number == 1 {
            self.clean(&segment, 0);
        } else if segment.word(word(number)) != 0 {
            self.clean(&segment, committed);
        }
        index::append(&segment, number, page).expect("room");
    }

    fn clean(&self, segment: &SegmentOf, kept: u32) {
        for slot in 0..SEGMENT_SLOTS {
            if u32::from(segment.slot(slot)) > kept {
                segment.set_slot(slot, 0);
            }
        }
        for word in 34 + kept as usize..SEGMENT_WORDS {
            if segment.word(word) != 0 {
                segment.set_word(word, 0);
            }
        }
    }

    /// `walCheckpoint`, and with `truncate` also `walRestartHdr` in its own
    /// order, and the cut of the log's file.
    pub fn checkpoint(&self, truncate: bool) {
        let header = self.header();
        let first = self.segment(0).unwrap();
        let done = index::backfilled(&first);
        if done < header.max_frame {
            first.set_word(32, header.max_frame);
            let mut newest = BTreeMap::new();
            for number in 1..=header.max_frame {
                newest.insert(first.word(34 + number as usize - 1), number);
            }
            for (page, number) in newest {
                if number > done && page != 0 && page <= header.pages {
                    let mut image = [0; PAGE_SIZE];
                    self.read_log(&mut image, frame::offset(number) + 24).unwrap();
                    self.write_database(&image, PageNo(page).offset()).unwrap();
                }
            }
            self.cut_database(u64::from(header.pages) * PAGE_SIZE as u64).unwrap();
            first.set_word(24, header.max_frame);
        }
        if truncate {
            let salt = super::next_salt(header.salt, self.random());
            IndexHeader { max_frame: 0, salt, ..header }.publish(&first, || ());
            index::reset_checkpoint_info(&first);
            self.cut(|files| &mut files.log, 0);
        }
    }

    /// All pages as a reader sees them who begins now.
    pub fn seen(&self) -> Vec<PageImage> {
        let header = self.header();
        let first = self.segment(0).unwrap();
        // walTryBeginRead: of a log that is wholly in the database nothing is
        // read, of another one what is not.
        let from = index::backfilled(&first) + 1;
        let mut page_1 = [0; PAGE_SIZE];
        self.read_database(&mut page_1, 0).unwrap();
        let size = if header.pages == 0 { super::page1::size(&page_1) } else { header.pages };
        let page = |page: u32| {
            let frame = index::find(&first, 0, PageNo(page), header.max_frame);
            let mut image = [0; PAGE_SIZE];
            match frame.filter(|frame| header.max_frame > 0 && *frame >= from) {
                Some(frame) => self.read_log(&mut image, frame::offset(frame) + 24).unwrap(),
                None => self.read_database(&mut image, PageNo(page).offset()).unwrap(),
            }
            image
        };
        (1..=size).map(page).collect()
    }
}
