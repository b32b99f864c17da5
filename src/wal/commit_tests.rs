//! A process dies at every store of every change, ours and SQLite's own;
//! whoever looks at what is left must see the state before or after, and what
//! comes next must end where it should.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::memory_model::{Death, Files, Process};
use super::*;
use crate::wal::index::Cells as _;
use crate::wal::page1::{self, Stamp};

/// What a database holds: one byte for each page from the second on, and a
/// number for the first.
#[derive(Clone, Debug, PartialEq)]
struct State {
    number: u32,
    pages: Vec<u8>,
}

impl State {
    fn size(&self) -> u32 {
        self.pages.len() as u32 + 1
    }

    fn page_1(&self) -> PageImage {
        let mut page = page1::empty(self.number);
        page1::patch(&mut page, &Stamp::default(), self.size());
        page
    }

    fn images(&self) -> Vec<PageImage> {
        let others = self.pages.iter().map(|byte| [*byte; PAGE_SIZE]);
        std::iter::once(self.page_1()).chain(others).collect()
    }
}

#[derive(Clone, Debug)]
enum Change {
    /// Ours: to this state, writing all its pages or only those that differ.
    Commit(State),
    /// Ours, given up before the end.
    Abandoned(State),
    /// SQLite's.
    Copy,
    CopyAndRestart,
    Recover,
}

/// Makes a change as `Draft` and `Assembly` do.
fn make(process: &Process, before: &State, change: &Change) {
    match change {
        Change::Commit(state) => {
            let pending = prepare(process, before, state);
            pending.publish(&state.page_1(), state.size(), false).unwrap();
        }
        Change::Abandoned(state) => drop(prepare(process, before, state)),
        Change::Copy => process.checkpoint(false),
        Change::CopyAndRestart => process.checkpoint(true),
        Change::Recover => drop(process.header()),
    }
}

fn prepare(process: &Process, before: &State, state: &State) -> Pending<Process> {
    let header = loop {
        let header = process.header();
        if mend_backfill(process, &header, true).unwrap() == Backfill::Sound {
            break header;
        }
    };
    let mut pending = Pending::begin(process.clone(), header).unwrap();
    if pending.is_copied().unwrap() {
        pending.restart().unwrap();
    }
    let in_use = u64::from(before.size()).max(pending.file_size().div_ceil(PAGE_SIZE as u64));
    for (page, byte) in (2..).zip(&state.pages) {
        let image = [*byte; PAGE_SIZE];
        if u64::from(page) > in_use && pending.committed_frame(PageNo(page)).unwrap().is_none() {
            pending.write_to_file(PageNo(page), &image).unwrap();
        } else if before.pages.get(page as usize - 2) != Some(byte) {
            pending.append(PageNo(page), &image).unwrap();
        }
    }
    pending
}

/// A life of a file: growing, shrinking, with and without checkpoints between.
fn life() -> Vec<Change> {
    let state = |number, pages: &[u8]| State { number, pages: pages.to_vec() };
    vec![
        Change::Commit(state(1, &[10, 11, 12, 13])),
        Change::Commit(state(2, &[10, 21, 12, 23])),
        Change::Abandoned(state(9, &[91, 92, 93, 94, 95, 96, 97])),
        Change::Commit(state(3, &[30, 21, 12, 23, 34, 35])),
        Change::Copy,
        Change::Commit(state(4, &[40, 41, 12, 23, 34, 35])),
        Change::Commit(state(5, &[40, 51])),
        Change::CopyAndRestart,
        Change::Commit(state(6, &[60, 51, 62])),
        Change::Abandoned(state(9, &[90, 91, 92, 93])),
        Change::Commit(state(7, &[60, 71, 62, 73, 74])),
        Change::Commit(state(8, &[80, 81, 82, 83, 84])),
        Change::Copy,
        Change::Abandoned(state(9, &[90, 91, 92, 93, 94, 95])),
        Change::Recover,
        Change::Commit(state(10, &[100, 101, 82, 83, 84, 105])),
        Change::CopyAndRestart,
    ]
}

fn beginning() -> (Files, State) {
    let state = State { number: 0, pages: Vec::new() };
    (Files { database: state.page_1().to_vec(), ..Files::default() }, state)
}

/// What a process leaves that dies at store `life` of a change; None if it
/// comes to the end.
fn left_by(files: &Files, before: &State, change: &Change, life: u64, half: bool) -> Option<Files> {
    let process = Process::new(files.clone(), life, half);
    let made = catch_unwind(AssertUnwindSafe(|| make(&process, before, change)));
    match made {
        Ok(()) => None,
        Err(payload) => {
            assert!(payload.is::<Death>(), "a panic at store {life} of {change:?}");
            Some(process.files())
        }
    }
}

/// Looks at what is left, then goes on: two more commits and a checkpoint.
fn check(left: &Files, before: &State, after: &State, what: &str) {
    let process = Process::immortal(left.clone());
    let seen = process.seen();
    let present = [before, after].into_iter().find(|state| state.images() == seen);
    let present = present.unwrap_or_else(|| panic!("{what}: neither before nor after")).clone();
    let next = State { number: 11, pages: vec![111, 112, 113, 114] };
    let last = State { number: 12, pages: vec![111, 122, 113, 124, 125, 126, 127] };
    make(&process, &present, &Change::Commit(next.clone()));
    assert!(process.seen() == next.images(), "{what}: after the next commit");
    make(&process, &next, &Change::Commit(last.clone()));
    assert!(process.seen() == last.images(), "{what}: after the one after that");
    process.checkpoint(false);
    assert!(process.seen() == last.images(), "{what}: after a checkpoint");
    process.checkpoint(true);
    assert!(process.files().database == last.images().concat(), "{what}: in the database file");
}

/// The same by somebody who finds the shared memory, by somebody who does not,
/// and by somebody who comes after a checkpoint and finds none; number of
/// looks.
fn check_all(left: &Files, before: &State, after: &State, what: &str) -> u64 {
    check(left, before, after, what);
    let without_memory = |files: &Files| Files { index: Vec::new(), ..files.clone() };
    check(&without_memory(left), before, after, &format!("{what}, shared memory lost"));
    let other = Process::immortal(left.clone());
    other.checkpoint(false);
    let copied = without_memory(&other.files());
    check(&copied, before, after, &format!("{what}, copied, shared memory lost"));
    3
}

/// Calls `each` with what every death leaves in a life, and the states that it
/// may show.
fn deaths(mut each: impl FnMut(&Files, &State, &State, &str)) -> u64 {
    let (mut files, mut before) = beginning();
    let mut count = 0;
    for (number, change) in life().iter().enumerate() {
        let after = match change {
            Change::Commit(state) => state.clone(),
            _ => before.clone(),
        };
        for half in [false, true] {
            for life in 0.. {
                let Some(left) = left_by(&files, &before, change, life, half) else { break };
                count += 1;
                each(&left, &before, &after, &format!("change {number}, store {life}, {half}"));
            }
        }
        let process = Process::immortal(files);
        make(&process, &before, change);
        assert!(process.seen() == after.images(), "change {number}: {change:?}");
        (files, before) = (process.files(), after);
    }
    count
}

#[test]
fn a_death_at_any_store_leaves_the_state_before_or_after_and_a_file_that_goes_on() {
    let mut looks = 0;
    let states = deaths(|left, before, after, what| looks += check_all(left, before, after, what));
    println!("{states} states after one death, looked at {looks} times");
    assert!(states > 500, "{states}");
}

/// The second one dies in a commit, a recovery or a checkpoint that goes on
/// from what the first one left.
#[test]
fn a_second_death_over_the_remains_of_the_first_is_no_worse() {
    let (mut turn, mut states) = (0_u64, 0);
    let next = State { number: 11, pages: vec![1, 2, 3, 4, 5, 6, 7, 8] };
    let changes = [Change::Commit(next.clone()), Change::Recover, Change::CopyAndRestart];
    deaths(|left, before, after, what| {
        turn += 1;
        let change = &changes[turn as usize % 3];
        let seen = Process::immortal(left.clone()).seen();
        let present = if before.images() == seen { before } else { after };
        for life in (turn % 4..).step_by(4) {
            let Some(again) = left_by(left, present, change, life, false) else { break };
            states += 1;
            // A commit that was whole but not published may have come to
            // light meanwhile.
            let shown = Process::immortal(again.clone()).seen();
            let present = if after.images() == shown { after } else { present };
            let end = if matches!(change, Change::Commit(_)) { &next } else { after };
            check(&again, present, end, &format!("{what}, then store {life} of {change:?}"));
        }
    });
    println!("{states} states after two deaths");
    assert!(states > 5000, "{states}");
}

/// Each leaves its entries in the index; the table would be full of them.
#[test]
fn changes_that_are_given_up_leave_room_for_others() {
    let (files, state) = beginning();
    let process = Process::immortal(files);
    let full = State { number: 1, pages: vec![1; 3000] };
    make(&process, &state, &Change::Commit(full.clone()));
    for byte in 2..6 {
        let other = State { number: 2, pages: vec![byte; 3000] };
        make(&process, &full, &Change::Abandoned(other));
    }
    let last = State { number: 3, pages: vec![9; 3000] };
    make(&process, &full, &Change::Commit(last.clone()));
    assert!(process.seen() == last.images());
}

/// A reader that keeps the log from being copied, and one death in SQLite's
/// restart: the state that made mixtures permanent.
#[test]
fn frames_that_are_said_to_be_in_the_database_and_are_not_are_no_trap() {
    let (files, state) = beginning();
    let one = State { number: 1, pages: vec![1, 2, 3, 4] };
    let two = State { number: 2, pages: vec![5, 6, 7, 8] };
    let process = Process::immortal(files);
    make(&process, &state, &Change::Commit(one.clone()));
    make(&process, &one, &Change::Commit(two.clone()));
    process.checkpoint(true);
    let first = process.segment(0).unwrap();
    first.set_word(24, 7);
    check(&process.files(), &two, &two, "an empty log");
    // And one to which somebody has appended already.
    let three = State { number: 3, pages: vec![9, 6, 7, 8] };
    first.set_word(24, 0);
    make(&process, &two, &Change::Commit(three.clone()));
    first.set_word(24, 7);
    assert!(process.seen() == two.images(), "what readers see of it");
    let files = process.files();
    let mended = Process::immortal(files.clone());
    let four = State { number: 4, pages: vec![9, 6, 10, 8] };
    make(&mended, &three, &Change::Commit(four.clone()));
    assert!(mended.seen() == four.images());
    mended.checkpoint(true);
    assert!(mended.files().database == four.images().concat());
}

#[test]
fn a_checkpoint_under_way_is_waited_for_before_anything_is_mended() {
    let (files, state) = beginning();
    let process = Process::immortal(files);
    let one = State { number: 1, pages: vec![1] };
    make(&process, &state, &Change::Commit(one));
    process.checkpoint(true);
    process.segment(0).unwrap().set_word(24, 5);
    let before = process.stores();
    let header = process.header();
    assert_eq!(mend_backfill(&process, &header, false).unwrap(), Backfill::Disturbed);
    assert_eq!(process.stores(), before);
}

/// The order that readers, checkpoints and power cuts depend on.
#[test]
fn a_commit_that_grows_the_file_comes_in_this_order() {
    let (files, state) = beginning();
    let process = Process::immortal(files);
    let grown = State { number: 1, pages: vec![1, 2] };
    make(&process, &state, &Change::Commit(grown));
    assert_eq!(
        process.steps(),
        [
            Step::PageForTheFile,
            Step::PageForTheFile,
            Step::FilePagesWritten,
            Step::FilePagesSynced,
            Step::FramesWritten,
            Step::DatabaseSynced,
            Step::LogHeaderWritten,
            Step::LogHeaderSynced,
            Step::RemainsForgotten,
            Step::FrameForTheLog,
            Step::IndexTorn,
            Step::CommitFrameWritten,
            Step::CommitBetweenHeaderCopies,
            Step::CommitPublished,
        ]
    );
}
