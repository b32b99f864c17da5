"""`Connection` and `Cursor` on Python's own sqlite3.

They are sqlite3's classes with `execute` and what belongs to transactions
replaced, so that a local SELECT goes through sqlite3's own code but for one
look at its text. A cursor that holds rows of the primary is a `_RemoteCursor`
until its next statement.
"""

import sqlite3

from . import _sql
from ._replica import Replica

_local = sqlite3.Cursor.execute
_cursor = sqlite3.Connection.cursor
_isolation_level = sqlite3.Connection.isolation_level


class Cursor(sqlite3.Cursor):
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
        self._become(Cursor)
        if statement.kind in _sql.CONTROL:
            # A use after close is told by sqlite3 in its own words.
            _local(self, "")
            connection._say(connection._primary.control, statement)
            return self
        if statement.kind is _sql.WRITE:
            connection._begin_before_write(statement)
        if not connection._primary.is_remote(statement):
            if statement.kind is _sql.READ:
                connection._reads.add(sql)
            return _local(self, sql, parameters)
        self._show(statement, connection._say(connection._primary.run, sql, parameters))
        return self

    def _show(self, statement, answer):
        # sqlite3 fills in `description` itself, where row factories find it too.
        names = ", ".join(f"NULL AS {_sql.quoted(name)}" for name in answer.columns)
        _local(self, f"SELECT {names} LIMIT 0" if names else "")
        self._rows = iter(answer.rows)
        count = answer.rows_affected if statement.kind is _sql.WRITE else -1
        inserted = statement.verb in ("INSERT", "REPLACE")
        self._counts = count, answer.last_insert_rowid if inserted else self._last_rowid()
        self._become(_RemoteCursor)

    def _last_rowid(self):
        return getattr(self, "_counts", (0, None))[1]

    def _become(self, kind):
        # Classes that somebody derived keep theirs; they have no remote form.
        if self.__class__ in (Cursor, _RemoteCursor):
            self.__class__ = kind

    def executemany(self, sql, parameters, /):
        connection = self.connection
        if connection._primary is None:
            return super().executemany(sql, parameters)
        statement = _sql.statement(sql)
        if statement.kind is not _sql.WRITE:
            raise sqlite3.ProgrammingError("executemany() can only execute DML statements.")
        self._become(Cursor)
        connection._begin_before_write(statement)
        if not connection._primary.is_remote(statement):
            return super().executemany(sql, parameters)
        count = connection._say(connection._primary.run_many, sql, parameters)
        _local(self, "")
        self._rows, self._counts = iter(()), (count, self._last_rowid())
        self._become(_RemoteCursor)
        return self

    def executescript(self, script, /):
        connection = self.connection
        if connection._primary is None:
            return super().executescript(script)
        connection.commit()
        # A script begins no transaction by itself.
        level, connection._level = connection._level, None
        try:
            for part in _sql.split(script):
                self._execute(part, ())
                self.fetchall()
        finally:
            connection._level = level
        return self


class _RemoteCursor(Cursor):
    """Holds what the primary answered."""

    rowcount = property(lambda self: self._counts[0])
    lastrowid = property(lambda self: self._counts[1])

    def execute(self, sql, parameters=(), /):
        return self._execute(sql, parameters)

    def fetchone(self):
        return next(self, None)

    def fetchall(self):
        return list(self)

    def fetchmany(self, size=None):
        size = self.arraysize if size is None else size
        return [row for _, row in zip(range(size), self)]

    def __iter__(self):
        return self

    def __next__(self):
        # Closed cursors and connections are refused by sqlite3.
        super().fetchone()
        row = next(self._rows)
        return row if self.row_factory is None else self.row_factory(self, row)


class Connection(Replica, sqlite3.Connection):
    """A connection whose main database is a replica, once it is attached."""

    def attach(self, sync_url, auth_token, options):
        level = _isolation_level.__get__(self)
        # sqlite3 would begin transactions of the file before each write.
        _isolation_level.__set__(self, None)
        self._attach(self, level, sync_url, auth_token, options)

    def _ask(self, sql, *arguments):
        return _local(sqlite3.Cursor(self), sql, arguments).fetchone()[0]

    def cursor(self, factory=Cursor):
        return _cursor(self, factory)

    # sqlite3's own would make cursors of its own.
    def execute(self, sql, parameters=(), /):
        return _cursor(self, Cursor).execute(sql, parameters)

    def executemany(self, sql, parameters, /):
        return _cursor(self, Cursor).executemany(sql, parameters)

    def executescript(self, script, /):
        return _cursor(self, Cursor).executescript(script)

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
        return self._primary.in_transaction if self._primary else super().in_transaction

    def commit(self):
        super().commit()
        self._end("commit")

    def rollback(self):
        super().rollback()
        self._end("rollback")

    def close(self):
        self._abandon()
        super().close()
