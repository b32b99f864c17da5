"""A process that has hardly a descriptor left: LIBRARY URL DATABASE. An attach
either works, and then the table can be read, or says what is missing."""

import os
import resource

import apsw

from host import URL, connect, report, value

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
connect().close()
kept, worked, refused = [], 0, 0
try:
    while True:
        kept.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for free in range(1, 16):
    os.close(kept.pop())
    try:
        connection = connect()
    except apsw.Error:
        continue  # not even the library
    try:
        report(connection, "SELECT replica_attach(?, NULL)", URL)
    except apsw.Error as error:
        if "replica_attach" not in str(error):
            continue  # SQLite could not even prepare the call
        assert "too many open files" in str(error).lower(), (free, error)
        refused += 1
    else:
        assert value(connection, "SELECT count(*) FROM t") == 1, free
        worked += 1
    connection.close()
print(f"{worked} attached, {refused} refused")
assert worked and refused
