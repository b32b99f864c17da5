//! Aggregate SQL functions with Rust objects as their state.
//!
//! SQLite calls xFinal for two reasons and does not say which: the query has
//! come to its end, or the statement is being abandoned after an error or an
//! interrupt and xFinal is to free what xStep has made. An aggregate that only
//! computes need not care. One that acts must not act on half of its rows.
//!
//! What tells them apart is who calls: the byte code engine itself at the end
//! of a query, the same function from which it calls xStep; its tidying up, a
//! few calls deeper, after an error. So the distance on the stack between the
//! last xStep and xFinal is one of two numbers, fixed when SQLite was
//! compiled. Both are measured once on a database in memory. Where they cannot
//! be told apart, or neither fits, nothing is done and the caller gets an
//! error.

use std::cell::Cell;
use std::ffi::{CString, c_int, c_void};
use std::hint::black_box;
use std::mem::size_of;
use std::sync::OnceLock;

use super::api::{rc, sqlite, sqlite3_context, sqlite3_value};
use super::connection::Connection;
use super::function::FLAGS;
use super::guard::{guard, guard_quietly};
use super::host_db::HostDb;
use super::value::{Argument, Output, arguments, set_error, set_result};
use crate::error::{Error, Kind, Result};

/// The state of an aggregate for one group of rows. It is dropped without
/// `finish` if a step fails or the statement is abandoned.
pub trait Aggregate {
    fn step(&mut self, arguments: &[Argument]) -> Result<()>;

    /// The group has come to its end; there may have been no row at all.
    fn finish(&mut self) -> Result<Output>;
}

/// Makes the state of a group.
pub type Start = Box<dyn Fn() -> Box<dyn Aggregate>>;

struct Function {
    name: &'static str,
    start: Start,
}

/// What a group has in the memory that SQLite keeps for it.
struct Group {
    /// None after an error.
    aggregate: Option<Box<dyn Aggregate>>,
    /// Where the stack was in the last step.
    mark: usize,
}

/// Adds an aggregate that takes any number of arguments. `start` is dropped
/// when the connection is closed.
pub fn create(db: HostDb, name: &'static str, start: Start) -> Result<()> {
    let c_name = CString::new(name).expect("BUG: function names are literals without NUL");
    let function = Box::into_raw(Box::new(Function { name, start }));
    // SAFETY: SQLite calls `destroy` exactly once for the box, also when the
    // registration fails (sqlite.org/c3ref/create_function.html).
    let code = unsafe {
        sqlite!(create_function_v2(
            db.handle(),
            c_name.as_ptr(),
            -1,
            FLAGS,
            function.cast::<c_void>(),
            None,
            Some(step),
            Some(finish),
            Some(destroy),
        ))
    };
    match code {
        rc::OK => Ok(()),
        code => Err(Error::new(Kind::Local, format!("{name}: SQLite refused it (code {code})"))),
    }
}

unsafe extern "C" fn destroy(function: *mut c_void) {
    // SAFETY: made by `create`, destroyed once.
    guard_quietly(|| drop(unsafe { Box::from_raw(function.cast::<Function>()) }));
}

unsafe extern "C" fn step(
    context: *mut sqlite3_context,
    count: c_int,
    values: *mut *mut sqlite3_value,
) {
    let mark = stack_mark();
    guard_quietly(|| {
        // SAFETY: SQLite passes the pointer given at registration, the context
        // and the values of this call.
        unsafe {
            let function = &*sqlite!(user_data(context)).cast::<Function>();
            let taken = group(context, function, mark)
                .and_then(|group| take(group, || arguments(count, values)));
            if let Err(error) = taken {
                set_error(context, function.name, &error);
            }
        }
    });
}

/// The group that a step belongs to; made by the first one.
///
/// # Safety
/// `context` is the one of the running callback, which has the group to itself.
unsafe fn group<'a>(
    context: *mut sqlite3_context,
    function: &Function,
    mark: usize,
) -> Result<&'a mut Group> {
    // SAFETY: promised by the caller. SQLite zeroes the memory when it first
    // hands it out: NULL, or the memory of this group. `finish` alone frees
    // what is boxed here.
    unsafe {
        let Some(slot) = slot(context, size_of::<*mut Group>()).as_mut() else {
            return Err(Error::new(Kind::Local, "out of memory"));
        };
        if slot.is_null() {
            *slot = Box::into_raw(Box::new(Group { aggregate: None, mark }));
            (**slot).aggregate = Some(guard(|| Ok((function.start)()))?);
        }
        (**slot).mark = mark;
        Ok(&mut **slot)
    }
}

/// One row. After an error the group takes no more.
fn take<'a>(
    group: &mut Group,
    arguments: impl FnOnce() -> Result<Vec<Argument<'a>>>,
) -> Result<()> {
    let Some(aggregate) = &mut group.aggregate else { return Ok(()) };
    let outcome = guard(|| aggregate.step(&arguments()?));
    if outcome.is_err() {
        let failed = group.aggregate.take();
        guard_quietly(|| drop(failed));
    }
    outcome
}

unsafe extern "C" fn finish(context: *mut sqlite3_context) {
    let mark = stack_mark();
    guard_quietly(|| {
        // SAFETY: SQLite passes the pointer given at registration and the
        // context of this call. Size 0 allocates nothing: NULL if there was no
        // step. The group was boxed by `group` and is taken out of the memory
        // here, once.
        unsafe {
            let function = &*sqlite!(user_data(context)).cast::<Function>();
            let slot = slot(context, 0);
            let group = slot.as_mut().map(|slot| std::mem::replace(slot, std::ptr::null_mut()));
            let group = group.filter(|group| !group.is_null()).map(|group| Box::from_raw(group));
            match guard(|| end(function, group, mark)) {
                Ok(Some(output)) => set_result(context, &output),
                Ok(None) => {}
                Err(error) => set_error(context, function.name, &error),
            }
        }
    });
}

fn end(function: &Function, group: Option<Box<Group>>, mark: usize) -> Result<Option<Output>> {
    match group {
        // The tidying up frees what steps have made: without a step, this is
        // the end of a query.
        None => (function.start)().finish().map(Some),
        Some(mut group) => {
            let depth = group.mark.wrapping_sub(mark);
            match group.aggregate.take() {
                Some(aggregate) => finish_group(aggregate, depth),
                None => Ok(None),
            }
        }
    }
}

fn finish_group(mut aggregate: Box<dyn Aggregate>, depth: usize) -> Result<Option<Output>> {
    LAST_DEPTH.set(depth);
    if MEASURING.get() || Depths::of_this_sqlite()?.is_end_of_query(depth) {
        return aggregate.finish().map(Some);
    }
    drop(aggregate);
    // After an error SQLite drops this result. If it is shown, the measurement
    // of the stack was wrong.
    Err(Error::new(Kind::Interrupted, "the statement was abandoned, and nothing took effect"))
}

/// # Safety
/// `context` is the one of the running callback.
unsafe fn slot(context: *mut sqlite3_context, size: usize) -> *mut *mut Group {
    let size = c_int::try_from(size).unwrap_or(0);
    // SAFETY: promised by the caller.
    unsafe { sqlite!(aggregate_context(context, size)).cast::<*mut Group>() }
}

/// An address on the stack, below the caller's frame.
#[inline(never)]
fn stack_mark() -> usize {
    let here = 0_u8;
    black_box(&raw const here).addr()
}

thread_local! {
    static LAST_DEPTH: Cell<usize> = const { Cell::new(0) };
    static MEASURING: Cell<bool> = const { Cell::new(false) };
}

/// How far below a step the two kinds of xFinal are, in bytes of stack.
#[derive(Clone, Copy, Debug)]
struct Depths {
    end_of_query: usize,
    tidying_up: usize,
}

impl Depths {
    fn of_this_sqlite() -> Result<Depths> {
        // What failed for want of memory may succeed the next time.
        static DEPTHS: OnceLock<Depths> = OnceLock::new();
        let measured = match DEPTHS.get() {
            Some(depths) => *depths,
            None => *DEPTHS.get_or_init({
                let measured = measure()?;
                move || measured
            }),
        };
        if measured.differ() {
            return Ok(measured);
        }
        Err(Error::new(
            Kind::Local,
            "this SQLite does not let an aggregate know whether its query succeeded, so nothing was \
             sent; call replica_write() for each row",
        ))
    }

    /// Compilers may align the stack to 64 bytes here and there.
    fn differ(&self) -> bool {
        self.end_of_query.abs_diff(self.tidying_up) > 128
    }

    fn is_end_of_query(&self, depth: usize) -> bool {
        depth.abs_diff(self.end_of_query) <= 64
    }
}

/// While it lives, every end counts as the end of a query: on a path that
/// leaves the measurement by a panic, too.
struct Measuring;

impl Measuring {
    fn begin() -> Measuring {
        MEASURING.set(true);
        Measuring
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        MEASURING.set(false);
    }
}

/// Runs both ways on a database in memory.
fn measure() -> Result<Depths> {
    struct Nothing;
    impl Aggregate for Nothing {
        fn step(&mut self, _: &[Argument]) -> Result<()> {
            Ok(())
        }
        fn finish(&mut self) -> Result<Output> {
            Ok(Output::Null)
        }
    }
    const ROWS: &str = "(SELECT 1 AS x UNION ALL SELECT 2)";
    let memory = Connection::open_in_memory()?;
    create(memory.as_host(), "measure", Box::new(|| Box::new(Nothing)))?;
    let _measuring = Measuring::begin();
    let good = memory.query(&format!("SELECT measure(x) FROM {ROWS}"));
    let end_of_query = LAST_DEPTH.get();
    // The second row overflows, after the first one has been a step.
    let overflow = "CASE x WHEN 1 THEN 1 ELSE abs(-9223372036854775807 - 1) END";
    let bad = memory.query(&format!("SELECT measure({overflow}) FROM {ROWS}"));
    let tidying_up = LAST_DEPTH.get();
    if good.is_err() || bad.is_ok() {
        return Err(Error::new(
            Kind::Local,
            "it cannot be told whether the query succeeded (out of memory?), so nothing was sent; \
             try again",
        ));
    }
    Ok(Depths { end_of_query, tidying_up })
}
