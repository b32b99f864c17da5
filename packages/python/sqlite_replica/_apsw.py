"""`Connection` and `Cursor` on apsw, for a Python whose sqlite3 cannot load extensions.

apsw is no DB-API module: its exceptions become those of sqlite3 here, its
values are taken as sqlite3 takes them, and `description` is there for results
without rows too. Only for replicas: an ordinary database needs no apsw.
"""

import sqlite3
from threading import get_ident
from weakref import ref

import apsw

from ._cursor import Routed
from ._primary import positioned
from ._replica import Replica

_execute = apsw.Cursor.execute
_fetchone, _fetchall = apsw.Cursor.fetchone, apsw.Cursor.fetchall
_close_cursor = apsw.Cursor.close

_CLASSES = {
    apsw.ConstraintError: sqlite3.IntegrityError, apsw.MismatchError: sqlite3.IntegrityError,
    apsw.TooBigError: sqlite3.DataError, apsw.InternalError: sqlite3.InternalError,
    apsw.CorruptError: sqlite3.DatabaseError, apsw.NotADBError: sqlite3.DatabaseError,
    apsw.MisuseError: sqlite3.InterfaceError, apsw.RangeError: sqlite3.InterfaceError,
    apsw.BindingsError: sqlite3.ProgrammingError, apsw.ConnectionClosedError: sqlite3.ProgrammingError,
    apsw.CursorClosedError: sqlite3.ProgrammingError, apsw.ThreadingViolationError: sqlite3.ProgrammingError,
}
# What has no code of SQLite's is told in sqlite3's words.
_TEXTS = {apsw.ConnectionClosedError: "Cannot operate on a closed database.", apsw.CursorClosedError: "Cannot operate on a closed cursor."}


def translated(error):
    """The exception that sqlite3 would have raised."""
    wanted = _CLASSES.get(type(error), sqlite3.OperationalError)
    # apsw puts the name of its class before SQLite's text.
    text = str(error)
    prefix = f"{type(error).__name__}: "
    same = wanted(_TEXTS.get(type(error)) or (text[len(prefix):] if text.startswith(prefix) else text))
    if type(error) in _TEXTS:
        return same
    same.sqlite_errorcode = getattr(error, "extendedresult", 1)
    same.sqlite_errorname = apsw.mapping_extended_result_codes.get(
        same.sqlite_errorcode, apsw.mapping_result_codes.get(same.sqlite_errorcode, "SQLITE_ERROR"))
    return same


class Cursor(Routed, apsw.Cursor):
    # Of a local read its text and parameters; in the remote form the rows that are left and how many were
    # changed, with the columns' names; and what a program sets. Slots make a cursor cheap, and they are empty at first.
    __slots__ = ("_ran", "row_factory", "_answer", "_columns", "_last_rowid", "_arraysize")

    rowcount = property(lambda self: -1)
    lastrowid = property(lambda self: getattr(self, "_last_rowid", None))
    arraysize = property(lambda self: getattr(self, "_arraysize", 1), lambda self, size: setattr(self, "_arraysize", size))

    def execute(self, sql, parameters=()):
        self._check()
        if sql in self.connection._reads:
            return self._here(sql, parameters)
        return self._execute(sql, parameters)

    def executemany(self, sql, parameters):
        self._check()
        return self._execute_many(sql, parameters)

    def executescript(self, script):
        self._check()
        return self._execute_script(script)

    def _here(self, sql, parameters):
        self.connection._cursors[id(self)] = ref(self)
        self._ran, self._columns = (sql, parameters), None
        try:
            try:
                return _execute(self, sql, parameters)
            except TypeError:
                # A type that SQLite does not have: sqlite3 adapts those.
                return _execute(self, sql, positioned(sql, parameters))
        except apsw.Error as error:
            raise translated(error) from None

    def _many_here(self, sql, parameters):
        for given in parameters:
            self._here(sql, given)
        return self

    def _describe(self, columns):
        # Nothing of what ran before is left.
        _execute(self, "")
        self._ran, self._columns = None, tuple(columns)

    def _take_in(self):
        """What is left of a local read, so that SQLite lets go of the file's old state."""
        try:
            # apsw forgets them at the end.
            self._columns = tuple(column[0] for column in self.get_description())
        except (apsw.ExecutionCompleteError, apsw.CursorClosedError):
            return
        self._keep(iter(_fetchall(self)), -1)

    @property
    def description(self):
        if getattr(self, "_columns", None) is None:
            self._columns = self._look_up_columns() if self._ran is not None else ()
        return tuple((name, *[None] * 6) for name in self._columns) or None

    def _look_up_columns(self):
        """apsw forgets them when it has reached the end, for an empty result at once."""
        try:
            return tuple(column[0] for column in self.get_description())
        except apsw.ExecutionCompleteError:
            found = []

            def look(cursor, text, bindings):
                found.extend(column[0] for column in cursor.get_description())
                return False

            other = apsw.Cursor(self.connection)
            other.exec_trace = look
            try:
                other.execute(self._ran[0], positioned(*self._ran))
            except apsw.ExecTraceAbort:
                pass
            return tuple(found)

    def fetchone(self):
        try:
            row = _fetchone(self)
        except apsw.Error as error:
            raise translated(error) from None
        return row if row is None or self.row_factory is None else self.row_factory(self, row)

    def fetchall(self):
        return list(iter(self.fetchone, None))

    def fetchmany(self, size=None):
        return [row for _, row in zip(range(self.arraysize if size is None else size), iter(self.fetchone, None))]

    def __iter__(self):
        return self

    def __next__(self):
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def setinputsizes(self, sizes):
        pass

    def setoutputsize(self, size, column=None):
        pass

    def close(self):
        self._forget()
        _close_cursor(self, True)

    def _check(self):
        try:
            connection = self.connection
        except apsw.Error as error:
            raise translated(error) from None
        connection._check()


class Connection(Replica, apsw.Connection):
    Error, Warning = sqlite3.Error, sqlite3.Warning
    InterfaceError, DatabaseError, DataError = sqlite3.InterfaceError, sqlite3.DatabaseError, sqlite3.DataError
    OperationalError, IntegrityError = sqlite3.OperationalError, sqlite3.IntegrityError
    InternalError, ProgrammingError = sqlite3.InternalError, sqlite3.ProgrammingError
    NotSupportedError = sqlite3.NotSupportedError
    row_factory = None
    _is_open = False

    def __init__(self, database, timeout=5.0, detect_types=0, isolation_level="DEFERRED", check_same_thread=True, uri=False, **unused):
        if detect_types:
            raise sqlite3.NotSupportedError("detect_types: apsw has no converters; leave it out, or use the binding sqlite3")
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | (apsw.SQLITE_OPEN_URI if uri else 0)
        try:
            super().__init__(database, flags=flags)
        except apsw.Error as error:
            raise translated(error) from None
        self.set_busy_timeout(int(timeout * 1000))
        self._is_open = True
        self._wanted_level = isolation_level
        self._thread = get_ident() if check_same_thread else None
        # Weak references to the cursors that read the file, by their ids: a new one mostly has the id of one that is gone.
        self._cursors = {}

    def attach(self, sync_url, auth_token, options):
        self._attach(self, self._wanted_level, sync_url, auth_token, options)

    def _live_cursors(self):
        found = [reference() for reference in self._cursors.values()]
        self._cursors.clear()
        return [cursor for cursor in found if cursor is not None]

    def _as_wanted(self, sql, rows, names):
        return rows

    def _ask(self, sql, *arguments):
        self._check()
        try:
            return _execute(apsw.Cursor(self), sql, arguments).fetchone()[0]
        except apsw.Error as error:
            raise translated(error) from None

    def _check(self):
        if self._thread != get_ident() or not self._is_open:
            self._refuse()

    def _refuse(self):
        if not self._is_open:
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
        if self._thread is not None:
            raise sqlite3.ProgrammingError("SQLite objects created in a thread can only be used in that same thread. The object was "
                                           f"created in thread id {self._thread} and this is thread id {get_ident()}.")

    def cursor(self, factory=Cursor):
        self._check()
        cursor = factory(self)
        cursor._ran, cursor.row_factory = None, self.row_factory
        return cursor

    def execute(self, sql, parameters=()):
        if sql not in self._reads or self._thread != get_ident():
            return self.cursor().execute(sql, parameters)
        # The short way of nearly all reads, as `_here` goes it.
        cursor = Cursor(self)
        self._cursors[id(cursor)] = ref(cursor)
        cursor._ran = sql, parameters
        cursor.row_factory = self.row_factory
        try:
            return _execute(cursor, sql, parameters)
        except (TypeError, apsw.Error):
            return cursor._here(sql, parameters)

    def executemany(self, sql, parameters):
        return self.cursor().executemany(sql, parameters)

    def executescript(self, script):
        return self.cursor().executescript(script)

    def create_function(self, name, narg, func, *, deterministic=False):
        self.create_scalar_function(name, func, narg, deterministic=deterministic)

    isolation_level = property(lambda self: self._level, Replica._set_level)

    @property
    def in_transaction(self):
        return self._primary is not None and self._is_in_transaction()

    @property
    def total_changes(self):
        self._check()
        return super().total_changes() + self._primary.total_changes

    @property
    def autocommit(self):
        return self._autocommit

    def commit(self):
        self._check()
        self._end("commit")

    def rollback(self):
        self._check()
        self._end("rollback")

    def close(self):
        if self._is_open:
            self._check()
            self._abandon()
            super().close(True)
            self._is_open, self._reads = False, frozenset()
