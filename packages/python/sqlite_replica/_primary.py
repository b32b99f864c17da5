"""The primary as a connection sees it: its transaction, and how a statement is sent.

Knows no binding: it is given `ask`, which runs one SQL function of the
extension on the connection and returns its value.
"""

import base64
import json
import re
from sqlite3 import Error, OperationalError, PrepareProtocol, ProgrammingError, adapt
from typing import NamedTuple, Optional, Tuple

from . import _sql

# What a SQL function takes beside its first argument (SQLITE_LIMIT_FUNCTION_ARG of old SQLites).
MOST_ARGUMENTS = 126
# In a transaction these describe what the transaction sees; all other PRAGMAs are about this connection.
_ABOUT_SCHEMA = {
    "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
    "foreign_key_check",
}


_OFF = {"OFF", "NO", "FALSE", "0"}


class Answer(NamedTuple):
    columns: Tuple[str, ...]
    rows: list
    rows_affected: int
    last_insert_rowid: Optional[int]


class Primary:
    """One connection's way to the primary."""

    def __init__(self, ask, changed=lambda is_open: None):
        """`changed` is told when a transaction begins and when it has ended."""
        self._ask = ask
        self._changed = changed
        self.in_transaction = False
        # A SAVEPOINT outside of a transaction opens one, which ends with it.
        self._opened_by_savepoint = False
        self._savepoints = []
        # PRAGMA foreign_keys = OFF, which SQLite heeds outside of a transaction only.
        self._has_foreign_keys = True
        # Temporary tables and attached files are this connection's own; until there are any, nobody looks for them.
        self._has_local = False

    def is_remote(self, statement):
        """Whether a statement goes to the primary, transaction control not counted."""
        kind = statement.kind
        if kind == _sql.READ:
            return self.in_transaction and not statement.about_replica
        if kind == _sql.PRAGMA:
            if statement.name == "foreign_keys" and statement.value and not self.in_transaction:
                self._has_foreign_keys = statement.value not in _OFF
            if statement.name not in _ABOUT_SCHEMA:
                return False
            if not self.in_transaction:
                # SQLite answers these from its memory; a read makes it look whether the schema is still the same.
                self._ask("SELECT count(*) FROM main.sqlite_master LIMIT 1")
            return self.in_transaction
        if kind == _sql.LOCAL:
            self._has_local = True
            return False
        return not (self._has_local and self._changes_local(statement))

    def _changes_local(self, statement):
        if statement.schema is not None:
            return statement.schema != "main"
        count = self._ask("SELECT count(*) FROM temp.sqlite_master WHERE name = ?1 COLLATE NOCASE", statement.name)
        return count > 0

    def ignores(self, statement):
        """SQLite does nothing for this PRAGMA in a transaction, and the file is in none while the primary is."""
        return self.in_transaction and statement.name == "foreign_keys" and statement.value is not None

    def begin(self, mode=""):
        if self.in_transaction:
            raise OperationalError("cannot start a transaction within a transaction")
        mode = {"IMMEDIATE": "immediate", "EXCLUSIVE": "immediate", "READONLY": "read"}.get(mode.upper(), "deferred")
        if not self._has_foreign_keys and mode != "read":
            mode = "migration"
        self._ask("SELECT replica_begin(?1)", mode)
        self.in_transaction = True
        self._changed(True)

    def end(self, how):
        """`commit` or `rollback`."""
        if not self.in_transaction:
            raise OperationalError(f"cannot {how} - no transaction is active")
        try:
            self._ask(f"SELECT replica_{how}()")
        finally:
            # The extension has let go of it in either case.
            self._forget()

    def control(self, statement):
        """BEGIN, COMMIT, ROLLBACK and savepoints."""
        kind = statement.kind
        if kind == _sql.BEGIN:
            return self.begin(statement.name)
        if kind in (_sql.COMMIT, _sql.ROLLBACK):
            return self.end(kind)
        name = statement.name
        if kind == _sql.SAVEPOINT and not self.in_transaction:
            self.begin()
            self._opened_by_savepoint = True
        text = {_sql.SAVEPOINT: "SAVEPOINT", _sql.RELEASE: "RELEASE", _sql.ROLLBACK_TO: "ROLLBACK TO"}[kind]
        if not self.in_transaction:
            raise OperationalError(f"no such savepoint: {name}")
        self.run(f"{text} {_sql.quoted(name)}")
        self._note_savepoint(kind, name)

    def _note_savepoint(self, kind, name):
        if kind == _sql.SAVEPOINT:
            self._savepoints.append(name)
            return
        last = len(self._savepoints) - 1 - self._savepoints[::-1].index(name)
        del self._savepoints[last + (kind == _sql.ROLLBACK_TO):]
        if not self._savepoints and self._opened_by_savepoint:
            self.end("commit")

    def _lost(self):
        """The extension wants to hear that we know."""
        try:
            self._ask("SELECT replica_rollback()")
        except Error:
            pass  # There is nothing left to roll back.
        self._forget()

    def _forget(self):
        self.in_transaction, self._opened_by_savepoint, self._savepoints = False, False, []
        self._changed(False)

    def run(self, sql, given=()):
        """One statement with its arguments: the one place that sends any."""
        arguments = positioned(sql, given)
        function, marks = "replica_write", "".join(f", ?{at + 2}" for at in range(len(arguments)))
        if len(arguments) > MOST_ARGUMENTS:
            function, marks, arguments = "replica_write_args", ", ?2", [as_json(arguments)]
        try:
            answer = json.loads(self._ask(f"SELECT {function}(?1{marks})", sql, *arguments))
        except Exception as error:
            if self.in_transaction and re.search("ended the transaction|transaction was lost", str(error)):
                self._lost()
            raise
        rows = [tuple(map(value, row)) for row in answer["rows"]]
        return Answer(tuple(answer["columns"]), rows, answer["rows_affected"] or 0, answer["last_insert_rowid"])

    def run_many(self, sql, many):
        """A statement for each of many arguments; how many rows they changed."""
        return sum(self.run(sql, given).rows_affected for given in many)


def as_json(arguments):
    """A list of them as the extension reads it; integers and reals stay what they are."""
    return json.dumps([{"base64": base64.b64encode(each).decode()} if type(each) is bytes else each
                       for each in arguments], allow_nan=False)


def value(cell):
    """A cell of the extension's JSON."""
    if type(cell) is dict:
        return base64.b64decode(cell["base64"])
    return cell


def positioned(sql, given):
    """The arguments in the order of the parameters' numbers, each as a type that SQLite has."""
    if hasattr(given, "keys"):
        names = _sql.parameters(sql)
        missing = [name for name in names if name is not None and name not in given]
        if missing:
            raise ProgrammingError(f"You did not supply a value for binding parameter :{missing[0]}.")
        given = [given[name] if name is not None else None for name in names]
    return [_storable(argument) for argument in given]


def _storable(argument):
    if argument is None or type(argument) in (int, float, str, bytes):
        return argument
    adapted = argument if isinstance(argument, (int, float, str)) else adapt(argument, PrepareProtocol, argument)
    for kind in (int, float, str):
        if isinstance(adapted, kind):
            return kind(adapted)
    if adapted is None:
        return None
    try:
        return bytes(memoryview(adapted))
    except TypeError:
        raise ProgrammingError(f"Error binding parameter: type '{type(argument).__name__}' is not supported") from None


def without_prefix(text):
    """An error as SQLite words it: the binding's user did not call `replica_write`."""
    return re.sub(r"^replica_(?:write|begin|commit|rollback): ", "", text)


def is_unknown_here(error):
    """A local read failed on something that the primary may have: its own functions, a table of a moment ago."""
    return re.match("no such (?:table|function|module)", str(error)) is not None
