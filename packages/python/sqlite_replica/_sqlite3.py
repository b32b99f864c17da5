"""`Connection` and `Cursor` on Python's own sqlite3.

They are sqlite3's classes with `execute` and what belongs to transactions
replaced, so that a local SELECT goes through sqlite3's own code but for one
look at its text.
"""

import gc
import itertools
import re
import sqlite3
from weakref import ReferenceType, WeakSet

from . import _sql
from ._cursor import Routed
from ._replica import Replica

_local = sqlite3.Cursor.execute
_cursor = sqlite3.Connection.cursor
_fetchone = sqlite3.Cursor.fetchone
_isolation_level = sqlite3.Connection.isolation_level
_lastrowid = sqlite3.Cursor.lastrowid


def _cursors_of(connection):
    """All that are alive: sqlite3 itself has weak references to them, and the garbage collector shows those."""
    lists = [each for each in gc.get_referents(connection) if type(each) is list]
    return [each() for each in itertools.chain(*lists) if type(each) is ReferenceType and each() is not None]


def _shows_cursors():
    """Not before Python 3.10, where it does not know of connections."""
    db = sqlite3.connect(":memory:")
    cursor = db.cursor()
    found = cursor in _cursors_of(db)
    db.close()
    return found


_ARE_SHOWN = _shows_cursors()


class Cursor(Routed, sqlite3.Cursor):
    # In its remote form, what the primary answered to the last statement: the rows that are left
    # and how many were changed. Then the last rowid that it gave. Slots make a cursor cheap.
    __slots__ = ("_answer", "_last_rowid")

    if not _ARE_SHOWN:
        def __init__(self, connection):
            super().__init__(connection)
            connection._noted.add(self)

    @property
    def lastrowid(self):
        try:
            return self._last_rowid
        except AttributeError:
            return _lastrowid.__get__(self)

    def execute(self, sql, parameters=(), /):
        # The short way of nearly all reads.
        if sql in self.connection._reads:
            return _local(self, sql, parameters)
        if self.connection._primary is None:
            return _local(self, sql, parameters)
        return self._execute(sql, parameters)

    def executemany(self, sql, parameters, /):
        if self.connection._primary is None:
            return super().executemany(sql, parameters)
        return self._execute_many(sql, parameters)

    def executescript(self, script, /):
        if self.connection._primary is None:
            return super().executescript(script)
        return self._execute_script(script)

    def _here(self, sql, parameters):
        return _local(self, sql, parameters)

    def _many_here(self, sql, parameters):
        return super().executemany(sql, parameters)

    def _describe(self, columns):
        # sqlite3 fills in `description` itself, where row factories find it too.
        names = ", ".join(f"NULL AS {_sql.quoted(name)}" for name in columns)
        _local(self, f"SELECT {names} LIMIT 0" if names else "")

    def _take_in(self):
        """What is left of a local read, so that SQLite lets go of the file's old state."""
        factory, self.row_factory = self.row_factory, None
        try:
            rows = self.fetchall()
        except sqlite3.ProgrammingError:
            return  # It is closed.
        finally:
            self.row_factory = factory
        if rows:
            self._keep(iter(rows), -1)

    def _check(self):
        # Closed cursors and connections are refused by sqlite3.
        _fetchone(self)


class Connection(Replica, sqlite3.Connection):
    """A connection whose main database is a replica, once it is attached."""

    if not _ARE_SHOWN:
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            self._noted = WeakSet()

    def attach(self, sync_url, auth_token, options):
        level = _isolation_level.__get__(self)
        # sqlite3 would begin transactions of the file before each write.
        _isolation_level.__set__(self, None)
        self._attach(self, level, sync_url, auth_token, options)

    def _ask(self, sql, *arguments):
        # What the extension tells is not the program's to make something else of.
        factory, self.text_factory = self.text_factory, str
        try:
            return _local(sqlite3.Cursor(self), sql, arguments).fetchone()[0]
        finally:
            self.text_factory = factory

    def _live_cursors(self):
        # A reference of our own would have to be made at each read.
        return [each for each in (_cursors_of(self) if _ARE_SHOWN else self._noted) if isinstance(each, Cursor)]

    def cursor(self, factory=Cursor):
        return _cursor(self, factory)

    # sqlite3's own would make cursors of its own.
    def execute(self, sql, parameters=(), /):
        if sql in self._reads:
            return _local(_cursor(self, Cursor), sql, parameters)
        return _cursor(self, Cursor).execute(sql, parameters)

    def executemany(self, sql, parameters, /):
        return _cursor(self, Cursor).executemany(sql, parameters)

    def executescript(self, script, /):
        return _cursor(self, Cursor).executescript(script)

    def _as_wanted(self, sql, rows, names):
        """The primary's rows as sqlite3 gives those of a file: by converters and `text_factory`."""
        if not rows or not (self._detect_types or self.text_factory is not str):
            return rows
        columns = [self._converter(name, declared) for name, declared in zip(names, self._declared(sql, names))]
        return [tuple(convert(cell) for convert, cell in zip(columns, row)) for row in rows]

    def _declared(self, sql, names):
        if self._detect_types & sqlite3.PARSE_DECLTYPES:
            try:
                return self._primary.declared_types(sql)
            except sqlite3.InterfaceError:
                pass  # A Turso server describes no statement, and this one has been carried out.
        return [None] * len(names)

    def _converter(self, name, declared):
        """What is made of a cell of a column."""
        found = None
        if self._detect_types & sqlite3.PARSE_COLNAMES and "[" in name:
            found = sqlite3.converters.get(name.partition("[")[2].partition("]")[0].upper())
        if found is None and declared:
            found = sqlite3.converters.get(re.split("[ (]", declared)[0].upper())
        if found is None:
            make = self.text_factory
            return lambda cell: cell if type(cell) is not str or make is str else make(cell.encode())
        return lambda cell: None if cell is None else found(self._as_bytes(cell))

    def _as_bytes(self, cell):
        if type(cell) is bytes:
            return cell
        return (cell if type(cell) is str else str(self._ask("SELECT CAST(?1 AS TEXT)", cell))).encode()

    @property
    def isolation_level(self):
        return self._level if self._primary else _isolation_level.__get__(self)

    @isolation_level.setter
    def isolation_level(self, level):
        if self._primary:
            self._set_level(level)
        else:
            _isolation_level.__set__(self, level)

    @property
    def in_transaction(self):
        return self._is_in_transaction() if self._primary else super().in_transaction

    @property
    def autocommit(self):
        return self._autocommit if self._primary else super().autocommit

    @property
    def total_changes(self):
        return super().total_changes + (self._primary.total_changes if self._primary else 0)

    def commit(self):
        self._end("commit")
        super().commit()

    def rollback(self):
        self._end("rollback")
        super().rollback()

    def close(self):
        self._abandon()
        super().close()
