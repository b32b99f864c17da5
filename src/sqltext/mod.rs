//! SQL as text: values, statements, their parameters, and how a script is cut
//! into statements.
//!
//! Everything here is pure, and nothing parses SQL further than its tokens.

pub mod digest;
pub mod parameters;
pub mod script;
pub mod statement;
pub mod tokens;
pub mod value;
pub mod wire;
