"""What a connection is beyond its binding: attached to a primary, with transactions there.

A mixin of the two `Connection` classes. They give `_ask(sql, *arguments)`,
which returns the first value of a query on the bare connection, and
`_live_cursors()`.
"""

import json
import sqlite3

from . import _sql
from ._library import NO_EXTENSIONS, load
from ._primary import Primary


# The value that sqlite3 has from Python 3.12 on.
LEGACY_TRANSACTION_CONTROL = -1


# Texts that are remembered as local reads: programs that write values into them make a new one each time.
MOST_TEXTS = 1024


class Replica:
    _primary = None
    _level = None
    _autocommit = LEGACY_TRANSACTION_CONTROL
    _detect_types = 0
    # Texts that are known to be local reads, none while a transaction is open: a read looks up this one thing.
    _reads = frozenset()

    def _attach(self, native, level, sync_url, auth_token, options):
        if not hasattr(native, "enable_load_extension"):
            raise RuntimeError(NO_EXTENSIONS)
        load(native)
        self._ask("SELECT replica_attach(?1, ?2, ?3)", sync_url, auth_token, json.dumps(options))
        self._level, self._primary = level, Primary(self._ask, self._transaction_changed, self._settle)
        self._transaction_changed(False)

    def _settle(self):
        """Cursors that are in the middle of the file take in the rest: as long as they hold
        it, SQLite would go on reading the state from before the write."""
        for cursor in self._live_cursors():
            cursor._take_in()

    def _transaction_changed(self, is_open):
        self._reads, self._has_transaction = set(), is_open

    def _is_read(self, sql):
        if not self._has_transaction:
            if len(self._reads) >= MOST_TEXTS:
                self._reads.clear()
            self._reads.add(sql)

    def _begin_before_write(self, statement):
        """As sqlite3 does it: a write opens a transaction unless isolation_level is None.

        Without autocommit PEP 249 has a transaction open at all times; it begins on
        the primary with the first statement that needs one.
        """
        primary, kinds = self._primary, (_sql.WRITE,)
        if self._autocommit is False:
            kinds = (_sql.WRITE, _sql.SCHEMA)
        elif self._autocommit is True or self._level is None:
            return
        if statement.kind in kinds and not primary.in_transaction and primary.is_remote(statement):
            primary.begin(self._level or "")

    def _run_script(self, script, execute):
        """`execute` runs a statement where it belongs, for scripts that do not go to the primary as a whole."""
        if self._autocommit == LEGACY_TRANSACTION_CONTROL:
            self.commit()
        parts = self._primary.split(script)
        if not parts:
            return
        takes = self._autocommit is not False and self._primary.takes_script([_sql.statement(part) for part in parts])
        spelled = [_sql.without_limit(part) for part in parts]
        if takes and self._primary.run_script(script if spelled == parts else ";\n".join(spelled)):
            return
        # A script begins no transaction by itself.
        level, self._level = self._level, None
        try:
            for part in parts:
                execute(part)
        finally:
            self._level = level

    def _set_level(self, level):
        if level is None:
            self.commit()
        elif level.upper() not in ("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"):
            raise ValueError("isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or 'EXCLUSIVE'")
        self._level = level

    def _end(self, how):
        if self._primary and self._primary.in_transaction and self._autocommit is not True:
            self._primary.end(how)

    def _abandon(self):
        """Before the connection closes: nobody commits what is left open."""
        try:
            if self._primary and self._primary.in_transaction:
                self._primary.end("rollback")
        except sqlite3.Error:
            pass  # The primary ends what is left of it by itself.

    def _is_in_transaction(self):
        return self._autocommit is False or self._primary.in_transaction

    def sync(self):
        """Pulls what changed on the primary; a dictionary with `frame_no` and `frames_synced`."""
        if not self._primary:
            raise sqlite3.ProgrammingError("this database has no sync_url, so there is nothing to sync with")
        self._settle()
        return json.loads(self._ask("SELECT replica_sync()"))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.commit()
        else:
            self.rollback()
        return False
