"""What a statement is, told from its first words: enough to know where it runs.

Pure text. SQLite's grammar is not parsed: a statement begins with its verb (or
with WITH, and then the verb is the first one outside of parentheses), and the
name of the table that it changes follows at a fixed place.
"""

import re
from functools import lru_cache
from typing import NamedTuple, Optional

_TOKEN = re.compile(
    r"""--[^\n]* | /\*.*?(?:\*/|\Z) | \s+ |                         # comments and space
        '(?:[^']|'')*'? | "(?:[^"]|"")*"? | `(?:[^`]|``)*`? | \[[^\]]*\]? |  # texts and quoted names
        \?\d* | [:@#]\w+ | \$\w+(?:::\w+)*(?:\([^)]*\))? |                # parameters
        [\w$]+ | .""",
    re.DOTALL | re.VERBOSE,
)

READ, PRAGMA, WRITE, SCHEMA, LOCAL = "read", "pragma", "write", "schema", "local"
BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK_TO = (
    "begin", "commit", "rollback", "savepoint", "release", "rollback to")
# Statements that begin and end transactions.
CONTROL = frozenset((BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK_TO))

_VERBS = {
    "SELECT": READ, "VALUES": READ, "EXPLAIN": READ, "": READ,
    "INSERT": WRITE, "REPLACE": WRITE, "UPDATE": WRITE, "DELETE": WRITE,
    "PRAGMA": PRAGMA, "ATTACH": LOCAL, "DETACH": LOCAL,
    "BEGIN": BEGIN, "COMMIT": COMMIT, "END": COMMIT, "ROLLBACK": ROLLBACK, "SAVEPOINT": SAVEPOINT, "RELEASE": RELEASE,
}
# Words that stand between a verb and the name of what it changes.
_BEFORE_NAME = {
    "INSERT", "REPLACE", "UPDATE", "DELETE", "OR", "ABORT", "FAIL", "IGNORE", "ROLLBACK", "INTO", "FROM",
    "CREATE", "DROP", "ALTER", "UNIQUE", "VIRTUAL", "TABLE", "VIEW", "INDEX", "TRIGGER", "IF", "NOT", "EXISTS",
}
# Words that begin a part of an UPDATE or a DELETE.
_CLAUSES = {"UPDATE", "OR", "FROM", "SET", "WHERE", "RETURNING", "ORDER", "LIMIT"}


class Statement(NamedTuple):
    kind: str
    verb: str
    # What it changes, as written and without quotes; of a PRAGMA, SAVEPOINT
    # or RELEASE its name, of a BEGIN its mode.
    schema: Optional[str] = None
    name: Optional[str] = None
    # What a PRAGMA is set to, in capitals.
    value: Optional[str] = None
    # It calls one of the extension's own functions or tables.
    about_replica: bool = False


def tokens(sql):
    """Everything but comments and space."""
    return [token for token in _TOKEN.findall(sql) if not (token.isspace() or token.startswith(("--", "/*")))]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def unquoted(name):
    closing = {'"': '"', "`": "`", "[": "]", "'": "'"}.get(name[:1])
    return name[1:-1].replace(closing * 2, closing) if closing else name


@lru_cache(maxsize=1024)
def statement(sql):
    """What the first statement of a text is."""
    words = tokens(sql.lstrip("\ufeff"))
    while words and words[0] == ";":
        words = words[1:]
    upper = [word.upper() for word in words]
    verb = upper[0] if upper else ""
    about_replica = any(word.startswith("REPLICA_") for word in upper)
    if verb == "WITH":
        at = _main_verb(upper)
        words, upper = words[at:], upper[at:]
        verb = upper[0] if upper else "SELECT"
    kind = _VERBS.get(verb, SCHEMA)
    if kind == BEGIN:
        mode = upper[1] if len(upper) > 1 and upper[1] in ("DEFERRED", "IMMEDIATE", "EXCLUSIVE", "READONLY") else ""
        return Statement(kind, verb, name=mode)
    if kind == ROLLBACK and "TO" in upper:
        return Statement(ROLLBACK_TO, verb, name=unquoted(words[-1]).lower())
    if kind in (SAVEPOINT, RELEASE):
        last = words[-2] if words[-1] == ";" else words[-1]
        return Statement(kind, verb, name=unquoted(last).lower())
    if kind == SCHEMA and _is_local(verb, upper):
        return Statement(LOCAL, verb)
    if kind == PRAGMA:
        schema, name = _qualified(words[1:])
        written = (name or "").lower() in ("user_version", "application_id") and ("=" in words or "(" in words)
        value = unquoted(upper[-2] if upper[-1] in (";", ")") else upper[-1]) if "=" in words or "(" in words else None
        return Statement(SCHEMA if written else kind, verb, schema, (name or "").lower(), value)
    if kind in (WRITE, SCHEMA):
        at = next((at for at, word in enumerate(upper) if word not in _BEFORE_NAME), len(words))
        schema, name = _qualified(words[at:])
        return Statement(kind, verb, schema, name)
    return Statement(kind, verb, about_replica=about_replica)


def _is_local(verb, upper):
    """Temporary things live in the connection, and VACUUM INTO only reads the file."""
    if verb == "CREATE":
        return len(upper) > 1 and upper[1] in ("TEMP", "TEMPORARY")
    return verb == "VACUUM" and "INTO" in upper


def _main_verb(upper):
    depth = 0
    for at, word in enumerate(upper):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word in ("SELECT", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"):
            return at
    return len(upper)


def _qualified(words):
    if len(words) > 2 and words[1] == ".":
        return unquoted(words[0]).lower(), unquoted(words[2])
    return None, unquoted(words[0]) if words else None


def numbered(sql):
    """Each token with the number of the parameter that it is, from 1 on, or None."""
    known, last = {}, 0
    for token in _TOKEN.findall(sql):
        number = None
        if token[0] == "?":
            number = int(token[1:]) if len(token) > 1 else last + 1
        elif token[0] in ":@$#" and len(token) > 1:
            number = known.setdefault(token, last + 1)
        last = max(last, number or 0)
        yield token, number


@lru_cache(maxsize=1024)
def parameters(sql):
    """The parameters by number: a name without its mark, or None."""
    found = {}
    for token, number in numbered(sql):
        # ?1 may be another word for the parameter :name.
        if number and found.get(number) is None:
            found[number] = token[1:] if token[0] != "?" else None
    return tuple(found.get(number) for number in range(1, max(found, default=0) + 1))


@lru_cache(maxsize=1024)
def without_limit(sql):
    """UPDATE and DELETE with a LIMIT, which only a SQLite that was built for it reads, as the
    one that it takes them for: WHERE _rowid_ IN (SELECT ... LIMIT ...). Every other text as it is."""
    if "limit" not in sql.lower():
        return sql
    pieces = [f"?{number}" if number else " " if token.startswith("--") else token for token, number in numbered(sql)]
    words, places, depth = [piece.upper() for piece in pieces], {}, 0
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word in _CLAUSES:
            places.setdefault(word, at)
    verb = statement(sql).verb
    is_known = "SET" in places and "FROM" not in places if verb == "UPDATE" else verb == "DELETE" and "FROM" in places
    if "LIMIT" not in places or not is_known:
        return sql
    end = max(at for at, word in enumerate(words) if not word.isspace() and word != ";") + 1
    tail = places.get("ORDER", places["LIMIT"])
    returning = places.get("RETURNING", tail)
    where = places.get("WHERE", returning)
    name = pieces[places["FROM"] + 1:where] if verb == "DELETE" else pieces[places["UPDATE"] + 1:places["SET"]]
    if verb == "UPDATE" and places.get("OR", where) < places["SET"]:
        name = pieces[next(at for at in range(places["OR"] + 1, where) if not words[at].isspace()) + 1:places["SET"]]
    before, condition, after, last = (
        "".join(pieces[a:b]) for a, b in ((0, where), (where, returning), (tail, end), (returning, tail)))
    return f"{before} WHERE _rowid_ IN (SELECT _rowid_ FROM {''.join(name)} {condition} {after}) {last}"
