"""The primary as a connection sees it: its transaction, and how a statement is sent.

Knows no binding: it is given `ask`, which runs one SQL function of the
extension on the connection and returns its value. Where a statement ends, what
went wrong and whether the transaction is still there, the extension says.
"""

import base64
import json
import re
from sqlite3 import Error, IntegrityError, OperationalError, PrepareProtocol, ProgrammingError, adapt
from typing import NamedTuple, Tuple

from . import _sql

# What a SQL function takes beside its first argument (SQLITE_LIMIT_FUNCTION_ARG of old SQLites).
MOST_ARGUMENTS = 126
# Statements of an executemany() that go in one request.
MOST_AT_ONCE = 1000
# Statements whose columns' types are remembered.
MOST_TYPES = 1024
# In a transaction these describe what the transaction sees; all other PRAGMAs are about this connection.
_ABOUT_SCHEMA = {
    "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
    "foreign_key_check",
}
_UNPARSED = "SQL string could not be parsed"
_MISUSE = 21
_OFF = {"OFF", "NO", "FALSE", "0"}


class Answer(NamedTuple):
    columns: Tuple[str, ...]
    rows: list
    rows_affected: int


class Primary:
    """One connection's way to the primary."""

    def __init__(self, ask, changed=lambda is_open: None, settle=lambda: None):
        """`changed` is told when a transaction begins and when it has ended.

        `settle` takes in what local reads have not fetched yet: SQLite goes on
        reading the same state of the file until they are done.
        """
        self._bare_ask = ask
        self._changed = changed
        self._settle = settle
        # Rows that were changed since the connection was opened.
        self.total_changes = 0
        self.in_transaction = False
        # Of the last INSERT; sqlite3 says 0 before there was one.
        self.last_rowid = 0
        # A SAVEPOINT outside of a transaction opens one, which ends with it.
        self._opened_by_savepoint = False
        self._savepoints = []
        # PRAGMA foreign_keys = OFF, which SQLite heeds outside of a transaction only.
        self._has_foreign_keys = True
        # Temporary tables and attached files are this connection's own; until there are any, nobody looks for them.
        self._has_local = False
        # Of statements that were described, under "" the version of the schema that they are of.
        self._types = {}

    def _ask(self, sql, *arguments):
        """Errors in SQLite's words: the binding's user did not call `replica_write`."""
        try:
            return self._bare_ask(sql, *arguments)
        except Error as error:
            text, parts = str(error), json.loads(self._bare_ask("SELECT replica_error()") or "{}")
            if text == f"{parts.get('function')}: {parts.get('text')}":
                text = parts["message"]
            error.args = (re.sub(r"^replica_\w+: ", "", text), *error.args[1:])
            if self.in_transaction and self._bare_ask("SELECT replica_transaction()") == "lost":
                self._lost()
            raise

    def _in_the_words_of_sqlite(self, error, sql):
        """What nobody can parse is told by the SQLite that is here; a primary's parser has words of its own."""
        if str(error).startswith(_UNPARSED):
            try:
                self._bare_ask(f"EXPLAIN {sql}")
            except Error as here:
                if re.search("syntax error|incomplete input|unrecognized token", str(here)):
                    error.args = here.args
        return error

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
        if kind == _sql.SCHEMA:
            self._types = {}
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
            raise _in_sqlites_way("cannot start a transaction within a transaction")
        mode = {"IMMEDIATE": "immediate", "EXCLUSIVE": "immediate", "READONLY": "read"}.get(mode.upper(), "deferred")
        if not self._has_foreign_keys and mode != "read":
            mode = "migration"
        self._ask("SELECT replica_begin(?1)", mode)
        self.in_transaction = True
        self._changed(True)

    def end(self, how):
        """`commit` or `rollback`."""
        if not self.in_transaction:
            raise _in_sqlites_way(f"cannot {how} - no transaction is active")
        self._settle()
        try:
            self._ask(f"SELECT replica_{how}()")
        except Error:
            # A commit that did not reach the primary can be tried again, as one that SQLite refuses.
            if self.in_transaction and self._bare_ask("SELECT replica_transaction()") == "none":
                self._forget()
            raise
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
            raise _in_sqlites_way(f"no such savepoint: {name}")
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
            self._bare_ask("SELECT replica_rollback()")
        except Error:
            pass  # There is nothing left to roll back.
        self._forget()

    def _forget(self):
        self.in_transaction, self._opened_by_savepoint, self._savepoints = False, False, []
        self._changed(False)

    def run(self, sql, given=()):
        """One statement with its arguments."""
        if ";" in sql.rstrip("; \n") and len(self.split(sql)) > 1:
            raise ProgrammingError("You can only execute one statement at a time.")
        self._settle_reads()
        # SQLite takes this mark for a space, and the primary's parser does not.
        sql = sql.lstrip("\ufeff")
        arguments, sql = positioned(sql, given), _sql.without_limit(sql)
        function, marks = "replica_write", "".join(f", ?{at + 2}" for at in range(len(arguments)))
        if len(arguments) > MOST_ARGUMENTS:
            function, marks, arguments = "replica_write_args", ", ?2", [as_json(arguments)]
        try:
            answer = json.loads(self._ask(f"SELECT {function}(?1{marks})", sql, *arguments))
        except Error as error:
            raise self._in_the_words_of_sqlite(error, sql)
        if answer.get("queued"):
            # How many rows it will change, nobody knows yet.
            return Answer((), [], -1)
        # A write that inserts nothing leaves it as it is, and the primary's connection is another each time.
        self.last_rowid = answer["last_insert_rowid"] or self.last_rowid
        # Of a write whose answer was lost, and that happened, the rows are gone.
        rows = [tuple(map(value, row)) for row in answer["rows"] or ()]
        return Answer(tuple(answer["columns"] or ()), rows, self._counted(answer["rows_affected"]))

    def _counted(self, rows_affected):
        """-1 where the primary does not count them."""
        if rows_affected is None:
            return -1
        self.total_changes += rows_affected
        return rows_affected

    def _settle_reads(self):
        # In a transaction the file stays as it is.
        if not self.in_transaction:
            self._settle()

    def run_many(self, sql, many):
        """A statement for each of many arguments, many in a request; how many rows they changed."""
        counts, waiting = [], []
        try:
            for given in many:
                waiting.append(positioned(sql, given))
                if len(waiting) == MOST_AT_ONCE:
                    at_once, waiting = waiting, []
                    counts.append(self._run_at_once(sql, at_once))
        finally:
            # Also when a generator raises: what it gave before has been executed.
            if waiting:
                counts.append(self._run_at_once(sql, waiting))
        return _sum(counts)

    def _run_at_once(self, sql, lists):
        if len(lists) == 1:
            return self.run(sql, lists[0]).rows_affected
        self._settle_reads()
        try:
            text = "[" + ",".join(map(as_json, lists)) + "]"
            answer = json.loads(self._ask("SELECT replica_batch_args(?1, value) FROM json_each(?2)", _sql.without_limit(sql), text))
            self.last_rowid = answer["last_insert_rowid"] or self.last_rowid
            return self._counted(answer["rows_affected"])
        except (IntegrityError, ValueError):
            # Nothing of it took effect. One by one the statements before the one that fails last,
            # as they do in SQLite; and JSON has no infinity.
            return _sum([self.run(sql, arguments).rows_affected for arguments in lists])

    def takes_script(self, statements):
        """Whether a script can go to the primary as a whole: nothing of it is for this connection, and it ends what it begins."""
        is_open = False
        for kind in (statement.kind for statement in statements):
            if kind in (_sql.BEGIN, _sql.COMMIT, _sql.ROLLBACK):
                if is_open == (kind == _sql.BEGIN):
                    return False
                is_open = not is_open
            elif kind not in (_sql.WRITE, _sql.SCHEMA) and not (is_open and kind in _sql.CONTROL):
                return False
        return not (is_open or self.in_transaction or self._has_local) and self._has_foreign_keys

    def run_script(self, script):
        """Statements outside of a transaction in one request; they last up to the first that fails.

        False: nothing of it took effect, as the primary could not parse it all, or
        each write is to happen exactly once.
        """
        self._settle()
        try:
            self._ask("SELECT replica_script(?1)", script)
        except Error as error:
            if str(error).startswith(_UNPARSED) or json.loads(self._bare_ask("SELECT replica_error()"))["code"] == _MISUSE:
                return False
            raise
        return True

    def split(self, script):
        return json.loads(self._bare_ask("SELECT replica_split(?1)", script))

    def declared_types(self, sql):
        """Of the columns of a statement, as the primary's schema has them; None for an expression."""
        version = self._bare_ask("PRAGMA main.schema_version")
        if self._types.get("") != version or len(self._types) > MOST_TYPES:
            self._types = {"": version}
        if sql not in self._types:
            columns = json.loads(self._ask("SELECT replica_describe(?1)", sql))["columns"]
            self._types[sql] = [column["type"] for column in columns]
        return self._types[sql]


def _sum(counts):
    return -1 if -1 in counts else sum(counts)


def _in_sqlites_way(text):
    error = OperationalError(text)
    error.sqlite_errorcode, error.sqlite_errorname = 1, "SQLITE_ERROR"
    return error


def as_json(arguments):
    """A list of them as the extension reads it; integers and reals stay what they are."""
    for each in arguments:
        if type(each) is int and not -(2**63) <= each < 2**63:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
    return json.dumps([{"base64": base64.b64encode(each).decode()} if type(each) is bytes else each
                       for each in arguments], allow_nan=False, ensure_ascii=False)


def value(cell):
    """A cell of the extension's JSON."""
    if type(cell) is dict:
        return base64.b64decode(cell["base64"])
    return cell


def positioned(sql, given):
    """The arguments in the order of the parameters' numbers, each as a type that SQLite has."""
    names = _sql.parameters(sql)
    if hasattr(given, "keys"):
        given = [None if name is None else _named(given, name) for name in names]
    elif not hasattr(given, "__len__") or not hasattr(given, "__getitem__"):
        raise ProgrammingError("parameters are of unsupported type")
    elif len(given) != len(names):
        raise ProgrammingError(f"Incorrect number of bindings supplied. The current statement uses {len(names)}, "
                               f"and there are {len(given)} supplied.")
    return [_storable(at + 1, given[at]) for at in range(len(given))]


def _named(given, name):
    try:
        return given[name]
    except LookupError:
        raise ProgrammingError(f"You did not supply a value for binding parameter :{name}.") from None


def _storable(number, argument):
    if argument is None or type(argument) in (int, float, str, bytes):
        # NaN is NULL in SQLite.
        return None if argument != argument else argument
    adapted = argument if isinstance(argument, (int, float, str)) else adapt(argument, PrepareProtocol, argument)
    for kind in (int, float, str):
        if isinstance(adapted, kind):
            return kind(adapted)
    if adapted is None:
        return None
    try:
        return bytes(memoryview(adapted))
    except TypeError:
        kind = type(argument)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        raise ProgrammingError(f"Error binding parameter {number}: type '{name}' is not supported") from None


def is_unknown_here(error):
    """A local read failed on something that the primary may have: its own functions, a table of a moment ago."""
    return re.match("no such (?:table|function|module)", str(error)) is not None
