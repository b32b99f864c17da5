//! One call for one row of one statement, however often SQLite evaluates it.
//!
//! `SELECT r ->> 'a', r ->> 'b' FROM (SELECT replica_write(...) r FROM t) WHERE
//! r ->> 'c'` is one call for each row of `t`; SQLite makes three of it, at
//! three places of its program. A place that asks for what another place was
//! given already, for a row that it has not asked for yet, gets that answer.
//!
//! Two calls that the statement really holds twice look the same. They are told
//! apart by its text, and refused: which one was meant is not for us to guess.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use crate::error::{Error, Kind, Result};
use crate::host::call::Call;
use crate::host::value::{Argument, Output};
use crate::sqltext::tokens::tokens;

/// Calls of one statement that are remembered at most.
const MOST: usize = 100_000;

/// What the calls of one run of a statement have done.
#[derive(Default)]
struct Done(RefCell<Memory>);

#[derive(Default)]
struct Memory {
    calls: HashMap<Key, Answers>,
    count: usize,
}

/// The calls with the same arguments.
#[derive(Default)]
struct Answers {
    /// How often each place has asked.
    asked: HashMap<usize, usize>,
    /// What the calls gave, in order.
    given: Vec<Output>,
}

/// Stands for the function and its arguments.
type Key = [u64; 2];

fn key(name: &str, arguments: &[Argument]) -> Key {
    [1_u8, 2].map(|salt| {
        let mut hasher = DefaultHasher::new();
        (salt, name).hash(&mut hasher);
        for argument in arguments {
            match argument {
                Argument::Null => 0_u8.hash(&mut hasher),
                Argument::Integer(integer) => (1_u8, integer).hash(&mut hasher),
                Argument::Real(real) => (2_u8, real.to_bits()).hash(&mut hasher),
                Argument::Text(bytes) => (3_u8, bytes).hash(&mut hasher),
                Argument::Blob(bytes) => (4_u8, bytes).hash(&mut hasher),
            }
        }
        hasher.finish()
    })
}

/// Runs `body`, unless another place of the statement did so for this row.
pub fn once(
    call: Call<'_>,
    name: &str,
    arguments: &[Argument],
    body: impl FnOnce() -> Result<Output>,
) -> Result<Output> {
    let Some(done) = call.shared::<Done>() else { return body() };
    let key = key(name, arguments);
    if let Some(given) = earlier(&done, key, call.place()) {
        if calls_in_text(call, name) <= 1 {
            return Ok(given);
        }
        return Err(Error::new(
            Kind::Misuse,
            "the statement holds this call twice, and SQLite may evaluate one of them twice as \
             well: it was done once and not again; call it in statements of their own",
        ));
    }
    if done.0.borrow().count >= MOST {
        return Err(Error::new(
            Kind::Misuse,
            format!(
                "one statement made {MOST} calls, and this one was not made; use replica_batch()"
            ),
        ));
    }
    let output = body()?;
    remember(&done, key, call.place(), &output);
    Ok(output)
}

/// What another place was given for the row that this place asks for now.
fn earlier(done: &Rc<Done>, key: Key, place: usize) -> Option<Output> {
    let mut memory = done.0.borrow_mut();
    let answers = memory.calls.get_mut(&key)?;
    let mine = answers.asked.get(&place).copied().unwrap_or(0);
    let given = answers.given.get(mine)?.clone();
    answers.asked.insert(place, mine + 1);
    Some(given)
}

fn remember(done: &Rc<Done>, key: Key, place: usize, output: &Output) {
    let mut memory = done.0.borrow_mut();
    memory.count += 1;
    let answers = memory.calls.entry(key).or_default();
    *answers.asked.entry(place).or_insert(0) += 1;
    answers.given.push(output.clone());
}

/// How often the text of the statement calls the function. Where several
/// statements run, of which one is meant: the most.
fn calls_in_text(call: Call<'_>, name: &str) -> usize {
    let count = |sql: String| tokens(&sql).filter(|token| token.is(name)).count();
    call.running_statements().into_iter().map(count).max().unwrap_or(0)
}
