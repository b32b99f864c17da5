//! The call of a scalar function as seen from inside: which place of which run
//! of a statement it comes from.
//!
//! SQLite evaluates an expression once for each reference to it when it
//! flattens a subquery or puts an alias in its place. Each of these places is
//! an instruction of its own, with a context of its own that lives as long as
//! the statement; and all of them share what was kept under a negative number
//! of `sqlite3_set_auxdata`, from one start of the statement to its end
//! (vdbeapi.c; SQLite's own JSON functions share their cache that way).

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::rc::Rc;

use super::api::{rc, sqlite, sqlite3_context, sqlite3_stmt, text};
use super::guard::guard_quietly;

/// The number of what our functions share.
const SHARED: c_int = -1_380_078_668;

/// A call that is running.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    context: *mut sqlite3_context,
    _running: std::marker::PhantomData<&'a ()>,
}

impl Call<'_> {
    /// # Safety
    /// `context` is the one of the running callback, which outlives the value.
    pub(super) unsafe fn new(context: *mut sqlite3_context) -> Self {
        Call { context, _running: std::marker::PhantomData }
    }

    /// Tells the places of one statement apart.
    pub fn place(&self) -> usize {
        self.context as usize
    }

    /// What the calls of this run of the statement share; made by the first
    /// one. None where there is no memory for it.
    pub fn shared<T: Default + 'static>(&self) -> Option<Rc<T>> {
        // SAFETY: the context of the running callback. Under this number there
        // is nothing but what is boxed below, and SQLite frees it by `destroy`,
        // also at once where it cannot keep it: hence the second look.
        unsafe {
            let find = || sqlite!(get_auxdata(self.context, SHARED)).cast::<Rc<dyn Any>>();
            if find().is_null() {
                let made: Rc<dyn Any> = Rc::new(T::default());
                let made = Box::into_raw(Box::new(made)).cast::<c_void>();
                sqlite!(set_auxdata(self.context, SHARED, made, Some(destroy)));
            }
            let found = find();
            if found.is_null() { None } else { (*found).clone().downcast::<T>().ok() }
        }
    }

    /// The texts of the statements that are running on the connection, of
    /// which one is that of this call.
    pub fn running_statements(&self) -> Vec<String> {
        let mut texts = Vec::new();
        // SAFETY: the connection of the running callback and its statements,
        // none of which is finalized meanwhile.
        unsafe {
            let db = sqlite!(context_db_handle(self.context));
            let mut statement: *mut sqlite3_stmt = std::ptr::null_mut();
            loop {
                statement = sqlite!(next_stmt(db, statement));
                if statement.is_null() {
                    return texts;
                }
                if sqlite!(stmt_busy(statement)) != rc::OK {
                    texts.push(text(sqlite!(sql(statement))));
                }
            }
        }
    }
}

unsafe extern "C" fn destroy(shared: *mut c_void) {
    // SAFETY: made by `shared`, destroyed once.
    guard_quietly(|| drop(unsafe { Box::from_raw(shared.cast::<Rc<dyn Any>>()) }));
}
