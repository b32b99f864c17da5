//! Eponymous, read-only tables: the name is there as soon as the extension is
//! loaded, hidden columns are arguments.

use std::ffi::{CString, c_char, c_int, c_void};
use std::slice;

use super::api::{
    rc, sqlite, sqlite_string, sqlite3, sqlite3_context, sqlite3_index_info, sqlite3_module,
    sqlite3_value, sqlite3_vtab, sqlite3_vtab_cursor,
};
use super::guard::{guard, guard_quietly};
use super::host_db::HostDb;
use super::value::{Argument, Output, arguments, set_result};
use crate::error::{Error, Kind, Result};

/// What makes a table.
pub trait Table {
    fn name(&self) -> &'static str;

    /// `CREATE TABLE x(...)`; hidden columns stand last.
    fn schema(&self) -> &str;

    /// Columns before the hidden ones.
    fn visible_columns(&self) -> usize;

    /// The rows for these arguments, one per hidden column, None where the
    /// query does not give it.
    fn rows(&self, arguments: &[Option<Argument>]) -> Result<Box<dyn Rows>>;

    fn hidden_columns(&self) -> usize {
        0
    }

    /// Whether reading it does something that lasts. Then one scan does not do
    /// the same twice: SQLite may ask again for each row of another table.
    fn acts(&self) -> bool {
        false
    }

    /// What is told of the end of a local transaction, for a table that is
    /// created in one.
    fn transaction(&self) -> Option<&dyn LocalTransaction> {
        None
    }
}

/// Takes part in a transaction of the connection (sqlite.org/vtab.html 2.17).
pub trait LocalTransaction {
    /// It is about to be committed; an error undoes it instead.
    fn commit(&self) -> Result<()>;

    /// It was undone.
    fn undone(&self);
}

/// Rows, one after another.
pub trait Rows {
    /// The next row, a value for each visible column.
    fn next(&mut self) -> Result<Option<Vec<Output>>>;
}

/// Rows that are all there already.
impl Rows for std::vec::IntoIter<Vec<Output>> {
    fn next(&mut self) -> Result<Option<Vec<Output>>> {
        Ok(Iterator::next(self))
    }
}

type SharedTable = Box<dyn Table>;

#[repr(C)]
struct Instance {
    base: sqlite3_vtab,
    table: *const SharedTable,
}

#[repr(C)]
struct Cursor {
    base: sqlite3_vtab_cursor,
    rows: Option<Box<dyn Rows>>,
    current: Option<Vec<Output>>,
    rowid: i64,
    /// What was asked for before, where the table acts.
    asked: Vec<String>,
}

impl Cursor {
    /// Refuses what this scan has asked for before.
    fn ask_once(&mut self, arguments: &[Option<Argument>]) -> Result<()> {
        let asked = format!("{arguments:?}");
        if self.asked.contains(&asked) {
            let text = "the statement asks for the same a second time, for a row of another table; \
                        it was done once and not again: read this table alone, or in a \
                        MATERIALIZED subquery";
            return Err(Error::new(Kind::Misuse, text));
        }
        self.asked.push(asked);
        Ok(())
    }
}

/// `SQLITE_VTAB_DIRECTONLY`: not from triggers or views.
const VTAB_DIRECTONLY: c_int = 3;
const CONSTRAINT_EQ: u8 = 2;

const EPONYMOUS: sqlite3_module = sqlite3_module {
    iVersion: 0,
    // No xCreate: the table is eponymous only (sqlite.org/vtab.html 2.1.2).
    xCreate: None,
    xConnect: Some(connect),
    xBestIndex: Some(best_index),
    xDisconnect: Some(disconnect),
    xDestroy: None,
    xOpen: Some(open),
    xClose: Some(close),
    xFilter: Some(filter),
    xNext: Some(next),
    xEof: Some(eof),
    xColumn: Some(column),
    xRowid: Some(rowid),
    xUpdate: None,
    xBegin: None,
    xSync: None,
    xCommit: None,
    xRollback: None,
    xFindFunction: None,
    xRename: None,
    xSavepoint: None,
    xRelease: None,
    xRollbackTo: None,
    xShadowName: None,
};

static MODULE: sqlite3_module = EPONYMOUS;

/// For tables that are created, to take part in the transaction that they are
/// created in.
static IN_TRANSACTION: sqlite3_module = sqlite3_module {
    xCreate: Some(create_table),
    xDestroy: Some(disconnect),
    xBegin: Some(local_begin),
    xSync: Some(local_commit),
    xCommit: Some(local_begin),
    xRollback: Some(local_rollback),
    ..EPONYMOUS
};

/// Another function than `connect`: with the same one, the table would be there
/// without being created, and could not be dropped (sqlite.org/vtab.html 2.1.2).
unsafe extern "C" fn create_table(
    db: *mut sqlite3,
    aux: *mut c_void,
    argc: c_int,
    argv: *const *const c_char,
    instance: *mut *mut sqlite3_vtab,
    message: *mut *mut c_char,
) -> c_int {
    let created = guard(|| {
        // Kept apart from `connect` also by an optimizer.
        let argc = std::hint::black_box(argc);
        // SAFETY: inside xCreate, which is called as xConnect is.
        Ok(unsafe { connect(db, aux, argc, argv, instance, message) })
    });
    created.unwrap_or(rc::ERROR)
}

/// Nothing happens here: what there is to do is done before, in xSync, where an
/// error still undoes the transaction.
unsafe extern "C" fn local_begin(_instance: *mut sqlite3_vtab) -> c_int {
    rc::OK
}

unsafe extern "C" fn local_commit(instance: *mut sqlite3_vtab) -> c_int {
    // SAFETY: an instance of ours.
    let done = guard(|| unsafe {
        let table = &*(*instance.cast::<Instance>()).table;
        table.transaction().map_or(Ok(()), LocalTransaction::commit)
    });
    match done {
        Ok(()) => rc::OK,
        // SAFETY: an instance of ours.
        Err(error) => unsafe { report(instance, &error) },
    }
}

unsafe extern "C" fn local_rollback(instance: *mut sqlite3_vtab) -> c_int {
    guard_quietly(|| {
        // SAFETY: an instance of ours.
        let table = unsafe { &*(*instance.cast::<Instance>()).table };
        if let Some(transaction) = table.transaction() {
            transaction.undone();
        }
    });
    rc::OK
}

/// Adds a table to the connection; it is dropped with the connection.
pub fn create(db: HostDb, table: Box<dyn Table>) -> Result<()> {
    let module = if table.transaction().is_some() { &IN_TRANSACTION } else { &MODULE };
    let name = table.name();
    let c_name = CString::new(name).expect("BUG: table names are literals without NUL");
    let table = Box::into_raw(Box::new(table));
    // SAFETY: SQLite calls `destroy` exactly once for the box, also when the
    // registration fails (sqlite.org/c3ref/create_module.html).
    let code = unsafe {
        sqlite!(create_module_v2(
            db.handle(),
            c_name.as_ptr(),
            module,
            table.cast::<c_void>(),
            Some(destroy),
        ))
    };
    match code {
        rc::OK => Ok(()),
        code => Err(Error::new(Kind::Local, format!("{name}: SQLite refused it (code {code})"))),
    }
}

unsafe extern "C" fn destroy(table: *mut c_void) {
    // SAFETY: made by `create`, destroyed once.
    guard_quietly(|| drop(unsafe { Box::from_raw(table.cast::<SharedTable>()) }));
}

unsafe extern "C" fn connect(
    db: *mut sqlite3,
    aux: *mut c_void,
    _argc: c_int,
    _argv: *const *const c_char,
    instance: *mut *mut sqlite3_vtab,
    message: *mut *mut c_char,
) -> c_int {
    let connected = guard(|| {
        let table = aux.cast_const().cast::<SharedTable>();
        // SAFETY: `aux` is the box of `create`, which outlives its instances.
        let (name, schema) = unsafe { ((*table).name(), (*table).schema()) };
        let schema = CString::new(schema).unwrap_or_default();
        // SAFETY: inside xConnect, as both functions demand.
        let code = unsafe {
            sqlite!(vtab_config(db, VTAB_DIRECTONLY));
            sqlite!(declare_vtab(db, schema.as_ptr()))
        };
        if code != rc::OK {
            let text = format!("{name}: SQLite refused its columns (code {code})");
            return Err(Error::new(Kind::Local, text));
        }
        // SAFETY: zero is a valid value for SQLite's part, which it fills in;
        // `disconnect` frees the box.
        unsafe {
            *instance =
                Box::into_raw(Box::new(Instance { base: std::mem::zeroed(), table })).cast();
        }
        Ok(())
    });
    let Err(error) = connected else { return rc::OK };
    // SAFETY: a place for a string that SQLite frees.
    guard_quietly(|| unsafe { *message = sqlite_string(&error.to_string()) });
    error.code()
}

unsafe extern "C" fn disconnect(instance: *mut sqlite3_vtab) -> c_int {
    // SAFETY: made by `connect`, disconnected once.
    guard_quietly(|| drop(unsafe { Box::from_raw(instance.cast::<Instance>()) }));
    rc::OK
}

unsafe extern "C" fn best_index(
    instance: *mut sqlite3_vtab,
    info: *mut sqlite3_index_info,
) -> c_int {
    // SAFETY: SQLite passes an instance of ours and its own structure.
    let planned = guard(|| Ok(unsafe { plan(instance, &mut *info) }));
    // SAFETY: an instance of ours.
    planned.unwrap_or_else(|error| unsafe { report(instance, &error) })
}

/// Every hidden column that the query binds becomes an argument of xFilter, in
/// the order of the columns; `idxNum` has a bit for each.
///
/// # Safety
/// `instance` is one of ours, `info` has the lengths beside its arrays.
unsafe fn plan(instance: *mut sqlite3_vtab, info: &mut sqlite3_index_info) -> c_int {
    // SAFETY: promised by the caller.
    let (table, constraints, usages) = unsafe {
        let count = usize::try_from(info.nConstraint).unwrap_or(0);
        let (constraints, usages) = match count {
            0 => (&[][..], &mut [][..]),
            _ => (
                slice::from_raw_parts(info.aConstraint, count),
                slice::from_raw_parts_mut(info.aConstraintUsage, count),
            ),
        };
        (&*(*instance.cast::<Instance>()).table, constraints, usages)
    };
    let visible = table.visible_columns();
    let mut position = 0;
    for hidden in 0..table.hidden_columns() {
        let column = (visible + hidden) as c_int;
        let on_it =
            |i: &usize| constraints[*i].iColumn == column && constraints[*i].op == CONSTRAINT_EQ;
        let mut candidates = (0..constraints.len()).filter(on_it).peekable();
        if candidates.peek().is_none() {
            continue;
        }
        let Some(i) = candidates.find(|i| constraints[*i].usable != 0) else {
            // The argument comes from a table that is not read yet: this plan
            // is not possible.
            return rc::CONSTRAINT;
        };
        position += 1;
        usages[i].argvIndex = position;
        usages[i].omit = 1;
        info.idxNum |= 1 << hidden;
    }
    // What acts is wanted first, once.
    let (cost, rows) = if table.acts() { (1.0, 1) } else { (1000.0, 100) };
    info.estimatedCost = cost;
    info.estimatedRows = rows;
    rc::OK
}

unsafe extern "C" fn open(
    instance: *mut sqlite3_vtab,
    cursor: *mut *mut sqlite3_vtab_cursor,
) -> c_int {
    // SAFETY: zero is a valid value for SQLite's part; `close` frees the box.
    let opened = guard(|| unsafe {
        let base = std::mem::zeroed();
        let new = Box::new(Cursor { base, rows: None, current: None, rowid: 0, asked: Vec::new() });
        *cursor = Box::into_raw(new).cast();
        Ok(rc::OK)
    });
    // SAFETY: an instance of ours.
    opened.unwrap_or_else(|error| unsafe { report(instance, &error) })
}

unsafe extern "C" fn close(cursor: *mut sqlite3_vtab_cursor) -> c_int {
    // SAFETY: made by `open`, closed once.
    guard_quietly(|| drop(unsafe { Box::from_raw(cursor.cast::<Cursor>()) }));
    rc::OK
}

unsafe extern "C" fn filter(
    cursor: *mut sqlite3_vtab_cursor,
    given: c_int,
    _plan: *const c_char,
    count: c_int,
    values: *mut *mut sqlite3_value,
) -> c_int {
    // SAFETY: SQLite passes a cursor of ours and values for this call.
    unsafe {
        guarded_step(cursor, |cursor| {
            let table = &*(*cursor.base.pVtab.cast::<Instance>()).table;
            let mut values = arguments(count, values)?.into_iter();
            let by_column: Vec<Option<Argument>> = (0..table.hidden_columns())
                .map(|hidden| if given & (1 << hidden) != 0 { values.next() } else { None })
                .collect();
            cursor.rowid = 0;
            cursor.current = None;
            if table.acts() {
                cursor.ask_once(&by_column)?;
            }
            cursor.rows = Some(table.rows(&by_column)?);
            Ok(())
        })
    }
}

unsafe extern "C" fn next(cursor: *mut sqlite3_vtab_cursor) -> c_int {
    // SAFETY: a cursor of ours.
    unsafe { guarded_step(cursor, |_| Ok(())) }
}

/// Runs `before`, then moves to the next row, under the guard.
///
/// # Safety
/// `cursor` is one of ours.
unsafe fn guarded_step(
    cursor: *mut sqlite3_vtab_cursor,
    before: impl FnOnce(&mut Cursor) -> Result<()>,
) -> c_int {
    let outcome = guard(|| {
        // SAFETY: promised by the caller.
        let cursor = unsafe { &mut *cursor.cast::<Cursor>() };
        before(cursor)?;
        cursor.current = match &mut cursor.rows {
            Some(rows) => rows.next()?,
            None => None,
        };
        cursor.rowid += 1;
        Ok(())
    });
    let Err(error) = outcome else { return rc::OK };
    // SAFETY: the instance of this cursor.
    unsafe { report((*cursor).pVtab, &error) }
}

/// Puts an error where SQLite looks for it; its code.
///
/// # Safety
/// `instance` is one of ours; its message is NULL or was made by SQLite's
/// allocator.
unsafe fn report(instance: *mut sqlite3_vtab, error: &Error) -> c_int {
    // SAFETY: promised by the caller.
    guard_quietly(|| unsafe {
        let instance = instance.cast::<Instance>();
        let text = format!("{}: {error}", (*(*instance).table).name());
        sqlite!(free((*instance).base.zErrMsg.cast()));
        (*instance).base.zErrMsg = sqlite_string(&text);
    });
    error.code()
}

unsafe extern "C" fn eof(cursor: *mut sqlite3_vtab_cursor) -> c_int {
    // SAFETY: a cursor of ours.
    let at_end = guard(|| Ok(unsafe { (*cursor.cast::<Cursor>()).current.is_none() }));
    c_int::from(at_end.unwrap_or(true))
}

unsafe extern "C" fn column(
    cursor: *mut sqlite3_vtab_cursor,
    context: *mut sqlite3_context,
    number: c_int,
) -> c_int {
    let told = guard(|| {
        // SAFETY: a cursor of ours and the context of this call.
        unsafe {
            let cursor = &*cursor.cast::<Cursor>();
            let Some(row) = &cursor.current else {
                return Err(Error::new(Kind::Panic, "internal error: no current row"));
            };
            let cell = usize::try_from(number).ok().and_then(|number| row.get(number));
            set_result(context, cell.unwrap_or(&Output::Null));
        }
        Ok(rc::OK)
    });
    // SAFETY: the instance of this cursor.
    told.unwrap_or_else(|error| unsafe { report((*cursor).pVtab, &error) })
}

unsafe extern "C" fn rowid(cursor: *mut sqlite3_vtab_cursor, rowid: *mut i64) -> c_int {
    // SAFETY: a cursor of ours and a place for the number.
    guard_quietly(|| unsafe { *rowid = (*cursor.cast::<Cursor>()).rowid });
    rc::OK
}
