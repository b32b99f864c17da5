"""A replica with a first page that keeps the newest SQLite from every
statement: emptied from a connection to something else, then attached again."""

import sys

import apsw

extension, url, db = sys.argv[1:]


def loaded(path):
    connection = apsw.Connection(path)
    connection.enable_load_extension(True)
    connection.load_extension(extension)
    return connection


def one(connection, sql, *arguments):
    return connection.execute(sql, arguments).fetchone()[0]


try:
    one(loaded(db), "SELECT 1")
    sys.exit("SQLite reads this file: the test has lost its subject")
except apsw.Error:
    pass
other = loaded(":memory:")
assert one(other, "SELECT replica_repair(?)", db) is None
try:
    one(other, "SELECT replica_repair(?)", db)
    sys.exit("a sound replica was emptied")
except apsw.Error as error:
    assert "nothing was changed" in str(error), error
replica = loaded(db)
one(replica, "SELECT replica_attach(?)", url)
assert one(replica, "SELECT group_concat(v) FROM t") == "one,two"
assert one(replica, "PRAGMA integrity_check") == "ok"
print(apsw.sqlite_lib_version())
