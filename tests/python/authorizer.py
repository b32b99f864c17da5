"""A host that runs other people's SELECTs: nothing of this library is reached."""

import apsw

from host import URL, connect, report


def deny_replica(action, first, second, database, trigger):
    """For connections whose SQL is not your own. apsw; sqlite3's is alike."""
    name = {apsw.SQLITE_FUNCTION: second, apsw.SQLITE_READ: first}.get(action) or ""
    return apsw.SQLITE_DENY if name.lower().startswith("replica_") else apsw.SQLITE_OK


db = connect()
report(db, "SELECT replica_attach(?)", URL)
db.authorizer = deny_replica
functions = {name for (name,) in db.execute("SELECT name FROM pragma_function_list WHERE name LIKE 'replica%'")}
tables = {name for (name,) in db.execute("SELECT name FROM pragma_module_list WHERE name LIKE 'replica%'")}
assert "replica_write" in functions and "replica_status" in tables, (functions, tables)
for name in functions:
    for arguments in ("", "1", "1, 2", "1, 2, 3"):
        try:
            db.execute(f"SELECT {name.upper()}({arguments})").fetchall()
            raise SystemExit(f"{name} was called")
        except (apsw.AuthError, apsw.SQLError) as error:
            denied = "not authorized to use function" in str(error)
            assert denied or "wrong number of arguments" in str(error), error
for name in tables:
    for columns in ("*", "count(*)", "rowid"):
        try:
            db.execute(f"SELECT {columns} FROM {name}").fetchall()
            raise SystemExit(f"{name} was read")
        except (apsw.AuthError, apsw.SQLError) as error:
            # One that the library makes for itself is no table by its name.
            assert isinstance(error, apsw.AuthError) or "no such table" in str(error), error
assert db.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
