"""What a connection is beyond its binding: attached to a primary, with transactions there.

A mixin of the two `Connection` classes. They give `_ask(sql, *arguments)`,
which returns the first value of a query on the bare connection.
"""

import json
import sqlite3

from ._library import NO_EXTENSIONS, load
from ._primary import Primary, without_prefix


class _Texts(set):
    """Bounded, as programs that write values into their texts make a new one each time."""

    def add(self, text):
        if len(self) >= 1024:
            self.clear()
        super().add(text)


class _NoTexts(frozenset):
    def add(self, text):
        pass


class Replica:
    _primary = None
    _level = None
    # Texts that are known to be local reads; none is while a transaction is open.
    _reads = _NoTexts()

    def _attach(self, native, level, sync_url, auth_token, options):
        if not hasattr(native, "enable_load_extension"):
            raise RuntimeError(NO_EXTENSIONS)
        load(native)
        self._say(self._ask, "SELECT replica_attach(?1, ?2, ?3)", sync_url, auth_token, json.dumps(options))
        self._level, self._primary = level, Primary(self._ask, self._transaction_changed)
        self._transaction_changed(False)

    def _transaction_changed(self, is_open):
        self._reads = _NoTexts() if is_open else _Texts()

    def _say(self, function, *arguments):
        """Errors of the primary in SQLite's words."""
        try:
            return function(*arguments)
        except sqlite3.Error as error:
            error.args = (without_prefix(str(error)), *error.args[1:])
            raise

    def _begin_before_write(self, statement):
        """As sqlite3 does it: a write opens a transaction unless isolation_level is None."""
        primary = self._primary
        if self._level is not None and not primary.in_transaction and primary.is_remote(statement):
            self._say(primary.begin, self._level)

    def _set_level(self, level):
        if level is None:
            self.commit()
        elif level.upper() not in ("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"):
            raise ValueError("isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or 'EXCLUSIVE'")
        self._level = level

    def _end(self, how):
        if self._primary and self._primary.in_transaction:
            self._say(self._primary.end, how)

    def _abandon(self):
        """Before the connection closes: nobody commits what is left open."""
        try:
            self._end("rollback")
        except sqlite3.Error:
            pass  # The primary ends what is left of it by itself.

    def sync(self):
        """Pulls what changed on the primary; a dictionary with `frame_no` and `frames_synced`."""
        if not self._primary:
            raise sqlite3.ProgrammingError("this database has no sync_url, so there is nothing to sync with")
        return json.loads(self._say(self._ask, "SELECT replica_sync()"))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.commit()
        else:
            self.rollback()
        return False
