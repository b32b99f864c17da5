//! What a commit works on: the log, the database file, and the wal-index.
//!
//! The host's open files are one medium; memory that stops after any number of
//! stores is the other, in tests.

use super::index::Cells;
use crate::error::Result;

/// A database in WAL mode, whose WRITE lock is held.
pub trait Medium {
    /// The memory of one segment of the wal-index.
    type Segment: Cells;

    fn read_log(&self, bytes: &mut [u8], at: u64) -> Result<()>;
    fn write_log(&self, bytes: &[u8], at: u64) -> Result<()>;
    fn sync_log(&self) -> Result<()>;

    fn read_database(&self, bytes: &mut [u8], at: u64) -> Result<()>;
    fn write_database(&self, bytes: &[u8], at: u64) -> Result<()>;
    fn sync_database(&self) -> Result<()>;
    fn cut_database(&self, size: u64) -> Result<()>;
    /// Size of the database file in bytes.
    fn database_size(&self) -> Result<u64>;

    fn segment(&self, number: usize) -> Result<Self::Segment>;
    /// Orders what is stored in the wal-index before and after it.
    fn barrier(&self);

    /// A number that nobody can foretell.
    fn random(&self) -> u32;

    /// Is told each step that was made, which is a place to die at in tests.
    fn passed(&self, step: Step);
}

/// The steps of a commit that change the disk or the shared memory, in the
/// order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    BackfillMended,
    RestartBackfillForgotten,
    RestartBetweenHeaderCopies,
    RestartPublished,
    DatabaseSynced,
    LogHeaderWritten,
    LogHeaderSynced,
    RemainsForgotten,
    FrameForTheLog,
    PageForTheFile,
    FilePagesWritten,
    FilePagesSynced,
    FramesWritten,
    IndexTorn,
    CommitFrameWritten,
    CommitBetweenHeaderCopies,
    CommitPublished,
    CommitSynced,
    UndoneFileCut,
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 19] = [
        Step::BackfillMended,
        Step::RestartBackfillForgotten,
        Step::RestartBetweenHeaderCopies,
        Step::RestartPublished,
        Step::DatabaseSynced,
        Step::LogHeaderWritten,
        Step::LogHeaderSynced,
        Step::RemainsForgotten,
        Step::FrameForTheLog,
        Step::PageForTheFile,
        Step::FilePagesWritten,
        Step::FilePagesSynced,
        Step::FramesWritten,
        Step::IndexTorn,
        Step::CommitFrameWritten,
        Step::CommitBetweenHeaderCopies,
        Step::CommitPublished,
        Step::CommitSynced,
        Step::UndoneFileCut,
    ];

    /// As a fault point is called.
    pub fn name(self) -> &'static str {
        match self {
            Step::BackfillMended => "backfill mended",
            Step::RestartBackfillForgotten => "restart backfill forgotten",
            Step::RestartBetweenHeaderCopies => "restart between header copies",
            Step::RestartPublished => "restart published",
            Step::DatabaseSynced => "database synced before a new log",
            Step::LogHeaderWritten => "log header written",
            Step::LogHeaderSynced => "log header synced",
            Step::RemainsForgotten => "remains forgotten",
            Step::FrameForTheLog => "frame for the log",
            Step::PageForTheFile => "page for the file",
            Step::FilePagesWritten => "file pages written",
            Step::FilePagesSynced => "file pages synced",
            Step::FramesWritten => "frames written",
            Step::IndexTorn => "index torn",
            Step::CommitFrameWritten => "commit frame written",
            Step::CommitBetweenHeaderCopies => "commit between header copies",
            Step::CommitPublished => "commit published",
            Step::CommitSynced => "commit synced",
            Step::UndoneFileCut => "undone file cut",
        }
    }
}
