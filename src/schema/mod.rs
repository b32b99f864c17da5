//! The schema as the file has it: the rows of `sqlite_schema`, read from the
//! pages of its b-tree, and what has to be said differently where the primary
//! understands more than SQLite does.
//!
//! Everything here is pure: pages in, rows and edits of the same length out.

pub mod rewrite;
pub mod tree;
