"""`Connection` and `Cursor` on Python's own sqlite3.

They are sqlite3's classes with `execute` and what belongs to transactions
replaced, so that a local SELECT goes through sqlite3's own code but for one
look at its text. While a cursor holds rows of the primary, it is of its class's
remote form, whose fetch methods give those.
"""

import gc
import itertools
import re
import sqlite3
from functools import lru_cache
from weakref import ReferenceType, WeakSet

from . import _sql
from ._primary import is_unknown_here
from ._replica import Replica, Rows

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


class Cursor(sqlite3.Cursor):
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
        return self._execute(sql, parameters)

    def _execute(self, sql, parameters):
        connection = self.connection
        if connection._primary is None:
            return _local(self, sql, parameters)
        statement = _sql.statement(sql)
        self._forget()
        if statement.kind in _sql.CONTROL:
            # A use after close is told by sqlite3 in its own words.
            _local(self, "")
            connection._primary.control(statement)
            return self
        connection._begin_before_write(statement)
        if statement.kind is _sql.PRAGMA and connection._primary.ignores(statement):
            return _local(self, "")
        if not connection._primary.is_remote(statement):
            if statement.kind is not _sql.READ or statement.about_replica:
                return _local(self, sql, parameters)
            try:
                _local(self, sql, parameters)
                connection._is_read(sql)
                return self
            except sqlite3.OperationalError as error:
                if not is_unknown_here(error):
                    raise
        self._show(sql, statement, connection._primary.run(sql, parameters))
        return self

    def _show(self, sql, statement, answer):
        # sqlite3 fills in `description` itself, where row factories find it too.
        names = ", ".join(f"NULL AS {_sql.quoted(name)}" for name in answer.columns)
        _local(self, f"SELECT {names} LIMIT 0" if names else "")
        self._last_rowid = self.connection._primary.last_rowid
        rows = self.connection._as_wanted(sql, answer.rows, answer.columns)
        self._keep(iter(rows), answer.rows_affected if statement.kind is _sql.WRITE else -1)

    def _keep(self, rows, count):
        self.__class__ = _remote_form(self.__class__)
        self._answer = rows, count

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

    def _forget(self):
        """The answer, which only the remote form holds."""

    def executemany(self, sql, parameters, /):
        connection = self.connection
        if connection._primary is None:
            return super().executemany(sql, parameters)
        statement = _sql.statement(sql)
        if statement.kind is not _sql.WRITE:
            raise sqlite3.ProgrammingError("executemany() can only execute DML statements.")
        self._forget()
        connection._begin_before_write(statement)
        if not connection._primary.is_remote(statement):
            return super().executemany(sql, parameters)
        count = connection._primary.run_many(sql, parameters)
        _local(self, "")
        self._keep(iter(()), count)
        return self

    def executescript(self, script, /):
        connection = self.connection
        if connection._primary is None:
            return super().executescript(script)
        connection._run_script(script, lambda part: self._execute(part, ()).fetchall())
        _local(self, "")
        return self


class _Remote(Rows):
    """Mixed into the class of a cursor that holds what the primary answered."""

    __slots__ = ()

    def execute(self, *given, **named):
        self._forget()
        return self.execute(*given, **named)

    def _keep(self, rows, count):
        self._answer = rows, count

    def _take_in(self):
        pass

    def _forget(self):
        self.__class__ = self._local_form
        self._answer = None

    rowcount = property(lambda self: self._answer[1])

    def __next__(self):
        # Closed cursors and connections are refused by sqlite3.
        _fetchone(self)
        row = next(self._answer[0])
        return row if self.row_factory is None else self.row_factory(self, row)


@lru_cache(maxsize=None)
def _remote_form(cls):
    """The remote form of Cursor, or of a class that somebody derived from it."""
    return type(cls.__name__, (_Remote, cls), {"_local_form": cls, "__slots__": ()})


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
        return _cursor(self, Cursor)._execute(sql, parameters)

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
            return self._primary.declared_types(sql)
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
