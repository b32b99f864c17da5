"""Two SQLite libraries in one process: the first that loads us is served, the
other gets a sentence. We would call the wrong one's functions, and the two
would release each other's file locks."""

import ctypes
import ctypes.util
import sys

from host import LIBRARY, connect, value

# apsw brings its own SQLite; this is the system's.
name = ctypes.util.find_library("sqlite3")
if name is None:
    print("skipped: the system has no libsqlite3")
    sys.exit(0)
system = ctypes.CDLL(name)
system.sqlite3_libversion.restype = ctypes.c_char_p
print("the second library is SQLite", system.sqlite3_libversion().decode())

first = connect()
other, message = ctypes.c_void_p(), ctypes.c_char_p()
assert system.sqlite3_open(b":memory:", ctypes.byref(other)) == 0
assert system.sqlite3_enable_load_extension(other, 1) == 0
code = system.sqlite3_load_extension(other, LIBRARY.encode(), None, ctypes.byref(message))
assert code == 1, code
print(message.value.decode())
assert "another copy of SQLite" in message.value.decode()
assert system.sqlite3_close(other) == 0

# The first goes on as before.
assert value(first, "SELECT replica_version()").startswith("v")
assert value(connect(), "SELECT replica_version()").startswith("v")
