"""`Connection` and `Cursor` on apsw, for a Python whose sqlite3 cannot load extensions.

apsw is no DB-API module: its exceptions become those of sqlite3 here, its
values are taken as sqlite3 takes them, and `description` is there for results
without rows too. Only for replicas: an ordinary database needs no apsw.
"""

import sqlite3
from threading import get_ident
from weakref import WeakSet

import apsw

from . import _sql
from ._primary import is_unknown_here, positioned
from ._replica import Replica, Rows

_CLASSES = {
    apsw.ConstraintError: sqlite3.IntegrityError, apsw.MismatchError: sqlite3.IntegrityError,
    apsw.TooBigError: sqlite3.DataError, apsw.InternalError: sqlite3.InternalError,
    apsw.CorruptError: sqlite3.DatabaseError, apsw.NotADBError: sqlite3.DatabaseError,
    apsw.MisuseError: sqlite3.InterfaceError, apsw.RangeError: sqlite3.InterfaceError,
    apsw.BindingsError: sqlite3.ProgrammingError, apsw.ConnectionClosedError: sqlite3.ProgrammingError,
    apsw.CursorClosedError: sqlite3.ProgrammingError, apsw.ThreadingViolationError: sqlite3.ProgrammingError,
}


def translated(error):
    """The exception that sqlite3 would have raised."""
    wanted = _CLASSES.get(type(error), sqlite3.OperationalError)
    # apsw puts the name of its class before SQLite's text.
    text = str(error)
    prefix = f"{type(error).__name__}: "
    same = wanted(text[len(prefix):] if text.startswith(prefix) else text)
    same.sqlite_errorcode = getattr(error, "extendedresult", 1)
    same.sqlite_errorname = apsw.mapping_extended_result_codes.get(
        same.sqlite_errorcode, apsw.mapping_result_codes.get(same.sqlite_errorcode, "SQLITE_ERROR"))
    return same


class Cursor(Rows):
    arraysize = 1
    _is_closed = False

    def __init__(self, connection):
        self.connection = connection
        self.row_factory = connection.row_factory
        self.rowcount, self.lastrowid = -1, None
        self._native = connection._native.cursor()
        connection._cursors.add(self)
        self._ran, self._columns, self._rows = None, None, self._native

    def execute(self, sql, parameters=()):
        self._check()
        if sql in self.connection._reads:
            return self._local(sql, parameters)
        connection = self.connection
        primary, statement = connection._primary, _sql.statement(sql)
        if statement.kind in _sql.CONTROL:
            connection._primary.control(statement)
            self._show((), [], -1)
            return self
        connection._begin_before_write(statement)
        if statement.kind is _sql.PRAGMA and primary.ignores(statement):
            self._show((), [], -1)
            return self
        if not primary.is_remote(statement):
            if statement.kind is not _sql.READ or statement.about_replica:
                return self._local(sql, parameters)
            try:
                self._local(sql, parameters)
                connection._is_read(sql)
                return self
            except sqlite3.OperationalError as error:
                if not is_unknown_here(error):
                    raise
        answer = connection._primary.run(sql, parameters)
        self._show(answer.columns, answer.rows, answer.rows_affected if statement.kind is _sql.WRITE else -1)
        self.lastrowid = primary.last_rowid
        return self

    def _take_in(self):
        """What is left of a local read, so that SQLite lets go of the file's old state."""
        if self._rows is self._native and self._ran is not None:
            self.description  # apsw forgets it at the end.
            self._rows = iter(list(self._native))

    def _local(self, sql, parameters):
        try:
            try:
                self._native.execute(sql, parameters)
            except TypeError:
                # A type that SQLite does not have: sqlite3 adapts those.
                self._native.execute(sql, positioned(sql, parameters))
        except apsw.Error as error:
            raise translated(error) from None
        self._ran, self._columns, self._rows, self.rowcount = (sql, parameters), None, self._native, -1
        return self

    def _show(self, columns, rows, count):
        self._ran, self._columns, self._rows, self.rowcount = None, tuple(columns), iter(rows), count

    @property
    def description(self):
        if self._columns is None:
            self._columns = self._look_up_columns() if self._ran is not None else ()
        return tuple((name, *[None] * 6) for name in self._columns) or None

    def _look_up_columns(self):
        """apsw forgets them when it has reached the end, for an empty result at once."""
        try:
            return tuple(column[0] for column in self._native.getdescription())
        except apsw.ExecutionCompleteError:
            found = []

            def look(cursor, text, bindings):
                found.extend(column[0] for column in cursor.getdescription())
                return False

            other = self.connection._native.cursor()
            other.exectrace = look
            try:
                other.execute(self._ran[0], positioned(*self._ran))
            except apsw.ExecTraceAbort:
                pass
            return tuple(found)

    def executemany(self, sql, parameters):
        self._check()
        connection = self.connection
        statement = _sql.statement(sql)
        if statement.kind is not _sql.WRITE:
            raise sqlite3.ProgrammingError("executemany() can only execute DML statements.")
        connection._begin_before_write(statement)
        if connection._primary.is_remote(statement):
            self._show((), [], connection._primary.run_many(sql, parameters))
        else:
            for given in parameters:
                self._local(sql, given)
        return self

    def executescript(self, script):
        connection = self.connection
        self._check()
        connection._run_script(script, lambda part: self.execute(part).fetchall())
        self._show((), [], -1)
        return self

    def __next__(self):
        self._check()
        try:
            row = next(self._rows)
        except apsw.Error as error:
            raise translated(error) from None
        return row if self.row_factory is None else self.row_factory(self, row)

    def setinputsizes(self, sizes):
        pass

    def setoutputsize(self, size, column=None):
        pass

    def close(self):
        self._native.close(True)
        self._rows, self._is_closed = iter(()), True

    def _check(self):
        self.connection._check()
        if self._is_closed:
            raise sqlite3.ProgrammingError("Cannot operate on a closed cursor.")


class Connection(Replica):
    Error, Warning = sqlite3.Error, sqlite3.Warning
    InterfaceError, DatabaseError, DataError = sqlite3.InterfaceError, sqlite3.DatabaseError, sqlite3.DataError
    OperationalError, IntegrityError = sqlite3.OperationalError, sqlite3.IntegrityError
    InternalError, ProgrammingError = sqlite3.InternalError, sqlite3.ProgrammingError
    NotSupportedError = sqlite3.NotSupportedError
    row_factory = None

    def __init__(self, database, timeout=5.0, detect_types=0, isolation_level="DEFERRED", check_same_thread=True, uri=False, **unused):
        if detect_types:
            raise sqlite3.NotSupportedError("detect_types: apsw has no converters; leave it out, or use the binding sqlite3")
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | (apsw.SQLITE_OPEN_URI if uri else 0)
        try:
            self._native = apsw.Connection(database, flags=flags)
        except apsw.Error as error:
            raise translated(error) from None
        self._native.setbusytimeout(int(timeout * 1000))
        self._wanted_level = isolation_level
        self._thread = get_ident() if check_same_thread else None
        self._cursors = WeakSet()

    def attach(self, sync_url, auth_token, options):
        self._attach(self._native, self._wanted_level, sync_url, auth_token, options)

    def _live_cursors(self):
        return list(self._cursors)

    def _ask(self, sql, *arguments):
        self._check()
        try:
            return self._native.execute(sql, arguments).fetchone()[0]
        except apsw.Error as error:
            raise translated(error) from None

    def _check(self):
        if self._native is None:
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
        if self._thread not in (None, get_ident()):
            raise sqlite3.ProgrammingError("SQLite objects created in a thread can only be used in that same thread. The object was "
                                           f"created in thread id {self._thread} and this is thread id {get_ident()}.")

    def cursor(self, factory=Cursor):
        self._check()
        return factory(self)

    def execute(self, sql, parameters=()):
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql, parameters):
        return self.cursor().executemany(sql, parameters)

    def executescript(self, script):
        return self.cursor().executescript(script)

    def create_function(self, name, narg, func, *, deterministic=False):
        self._native.createscalarfunction(name, func, narg, deterministic=deterministic)

    isolation_level = property(lambda self: self._level, Replica._set_level)

    @property
    def in_transaction(self):
        return self._primary is not None and self._is_in_transaction()

    @property
    def total_changes(self):
        self._check()
        return self._native.total_changes() + self._primary.total_changes

    @property
    def autocommit(self):
        return self._autocommit

    def commit(self):
        self._check()
        self._end("commit")

    def rollback(self):
        self._check()
        self._end("rollback")

    def interrupt(self):
        self._native.interrupt()

    def close(self):
        if self._native is not None:
            self._check()
            self._abandon()
            self._native.close(True)
            self._native = None
