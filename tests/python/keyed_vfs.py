"""A VFS that encrypts the files of a connection that was opened with a key, and
a shim over it under a name of its own: the connection of ours has no key, so
what it writes is plain.

Arguments: the library, the primary's URL, the database."""

import os
import sys

import apsw

from host import DATABASE, LIBRARY, URL, raises, report, value


def turned(data):
    return bytes(byte ^ 0x5A for byte in data)


class Vault(apsw.VFS):
    """The key is there or not; which one does not matter here. A log is opened
    by its bare name: by whoever has just opened the database without a key, else
    by who has one."""

    without_key, with_key = False, set()

    def xOpen(self, name, flags):
        if flags[0] & apsw.SQLITE_OPEN_WAL:
            has_key = name[: -len("-wal")] in self.with_key and not self.without_key
            self.without_key = False
        else:
            has_key = isinstance(name, apsw.URIFilename) and name.uri_parameter("key")
            self.without_key = not has_key
            if has_key:
                self.with_key.add(name.filename())
        return (Locked if has_key else apsw.VFSFile)("unix", name, flags)


class Locked(apsw.VFSFile):
    def xRead(self, amount, offset):
        return turned(super().xRead(amount, offset))

    def xWrite(self, data, offset):
        super().xWrite(turned(data), offset)


class Shim(apsw.VFS):
    """Passes everything on, and tells nobody what is beneath it."""

    def xOpen(self, name, flags):
        return beneath.xOpen(name, flags)


def opened(path, vfs, key):
    parameters = "?key=secret" if key else ""
    connection = apsw.Connection(f"file:{path}{parameters}", vfs=vfs,
                                 flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI)
    connection.enable_load_extension(True)
    connection.load_extension(LIBRARY)
    return connection


beneath = Vault("vault", "unix")
shim = Shim("shim", "vault")
for vfs in ("vault", "shim"):
    path = f"{DATABASE}.{vfs}"
    connection = opened(path, vfs, key=True)
    raises(apsw.Error, "this connection cannot read the file", report, connection,
           "SELECT replica_attach(?, NULL)", URL)
    connection.close()
    for end in ("", "-wal"):
        if os.path.exists(path + end):
            with open(path + end, "rb") as file:
                assert b"first" not in file.read(), f"{vfs}: the primary's rows stand in {path + end}"
    # Without a key the same VFS is as good as any.
    connection = opened(path + ".plain", vfs, key=False)
    report(connection, "SELECT replica_attach(?, NULL)", URL)
    assert value(connection, "SELECT x FROM t") == "first"
    connection.close()
