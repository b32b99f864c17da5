"""What a cursor of either binding does with a statement: run it in the file, or show what the primary answers.

A cursor is one of its binding's, so that a local read goes through the binding's
own code. While it holds rows of the primary, it is of its class's remote form,
whose fetch methods give those.
"""

import sqlite3
from functools import lru_cache

from . import _sql
from ._primary import is_unknown_here


class Routed:
    """They give `_here(sql, parameters)`, which runs a statement in the file, and `_describe(columns)`,
    which leaves a result without rows."""

    __slots__ = ()

    def _execute(self, sql, parameters):
        connection = self.connection
        primary, statement = connection._primary, _sql.statement(sql)
        self._forget()
        if statement.kind in _sql.CONTROL:
            # A use after close is told by the binding.
            self._describe(())
            primary.control(statement)
            return self
        connection._begin_before_write(statement)
        if statement.kind is _sql.PRAGMA and primary.ignores(statement):
            self._describe(())
            return self
        if not primary.is_remote(statement):
            if statement.kind is not _sql.READ or statement.about_replica:
                return self._here(sql, parameters)
            try:
                self._here(sql, parameters)
                connection._is_read(sql)
                return self
            except sqlite3.OperationalError as error:
                if not is_unknown_here(error):
                    raise
        answer = primary.run(sql, parameters)
        self._describe(answer.columns)
        self._last_rowid = primary.last_rowid
        rows = connection._as_wanted(sql, answer.rows, answer.columns)
        self._keep(iter(rows), answer.rows_affected if statement.kind is _sql.WRITE else -1)
        return self

    def _execute_many(self, sql, parameters):
        connection, statement = self.connection, _sql.statement(sql)
        if statement.kind is not _sql.WRITE:
            raise sqlite3.ProgrammingError("executemany() can only execute DML statements.")
        self._forget()
        self._describe(())
        connection._begin_before_write(statement)
        if not connection._primary.is_remote(statement):
            return self._many_here(sql, parameters)
        self._keep(iter(()), connection._primary.run_many(sql, parameters))
        return self

    def _execute_script(self, script):
        self._forget()
        self._describe(())
        self.connection._run_script(script, lambda part: self._execute(part, ()).fetchall())
        self._forget()
        self._describe(())
        return self

    def _keep(self, rows, count):
        self.__class__ = _remote_form(self.__class__)
        self._answer = rows, count

    def _forget(self):
        """The answer, which only the remote form holds."""


class Remote:
    """Mixed into the class of a cursor that holds what the primary answered, or rows that were taken in."""

    __slots__ = ()

    rowcount = property(lambda self: self._answer[1])

    def execute(self, *given, **named):
        self._forget()
        return self.execute(*given, **named)

    def _keep(self, rows, count):
        self._answer = rows, count

    def _take_in(self):
        """It reads no file."""

    def _forget(self):
        self.__class__ = self._local_form
        self._answer = None

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
        self._check()
        row = next(self._answer[0])
        return row if self.row_factory is None else self.row_factory(self, row)


@lru_cache(maxsize=None)
def _remote_form(cls):
    """The remote form of a class of cursors, also of one that somebody derived."""
    return type(cls.__name__, (Remote, cls), {"_local_form": cls, "__slots__": ()})
