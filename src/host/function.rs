//! Scalar SQL functions with Rust closures as bodies.

use std::ffi::{CString, c_int, c_void};

use super::api::{rc, sqlite, sqlite3_context, sqlite3_value};
use super::call::Call;
use super::guard::{guard, guard_quietly};
use super::host_db::HostDb;
use super::value::{Argument, Output, arguments, set_error, set_result};
use crate::error::{Error, Kind, Result};

/// sqlite.org/c3ref/c_deterministic.html: not from triggers or views, so that
/// a foreign database file cannot make its reader call us; may return JSON.
pub(super) const FLAGS: c_int = UTF8 | DIRECTONLY | SUBTYPE | RESULT_SUBTYPE;
const UTF8: c_int = 1;
const DIRECTONLY: c_int = 0x0008_0000;
const SUBTYPE: c_int = 0x0010_0000;
/// Known from 3.45 on, ignored before.
const RESULT_SUBTYPE: c_int = 0x0100_0000;

/// What runs when SQL calls the function.
pub type Body = Box<dyn Fn(Call<'_>, &[Argument]) -> Result<Output>>;

struct Function {
    name: &'static str,
    body: Body,
}

/// Adds a function to the connection. `arity` -1 takes any number of
/// arguments. `body` is dropped when the connection is closed or the function
/// replaced.
pub fn create(db: HostDb, name: &'static str, arity: i32, body: Body) -> Result<()> {
    let c_name = CString::new(name).expect("BUG: function names are literals without NUL");
    let function = Box::into_raw(Box::new(Function { name, body }));
    // SAFETY: SQLite calls `destroy` exactly once for the box, also when the
    // registration fails (sqlite.org/c3ref/create_function.html).
    let code = unsafe {
        sqlite!(create_function_v2(
            db.handle(),
            c_name.as_ptr(),
            arity,
            FLAGS,
            function.cast::<c_void>(),
            Some(call),
            None,
            None,
            Some(destroy),
        ))
    };
    match code {
        rc::OK => Ok(()),
        code => Err(Error::new(Kind::Local, format!("{name}: SQLite refused it (code {code})"))),
    }
}

unsafe extern "C" fn call(
    context: *mut sqlite3_context,
    count: c_int,
    values: *mut *mut sqlite3_value,
) {
    guard_quietly(|| {
        // SAFETY: SQLite passes the pointer given at registration.
        let function = unsafe { &*sqlite!(user_data(context)).cast::<Function>() };
        // SAFETY: the values and the context live as long as this call.
        let outcome =
            guard(|| unsafe { (function.body)(Call::new(context), &arguments(count, values)?) });
        // SAFETY: the context of this call.
        unsafe {
            match outcome {
                Ok(output) => set_result(context, &output),
                Err(error) => set_error(context, function.name, &error),
            }
        }
    });
}

unsafe extern "C" fn destroy(function: *mut c_void) {
    // SAFETY: made by `create`, destroyed once.
    guard_quietly(|| drop(unsafe { Box::from_raw(function.cast::<Function>()) }));
}
