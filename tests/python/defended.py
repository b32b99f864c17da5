"""The story of story.py in connections with everything on that SQLite offers
against a hostile file: trusted_schema off, defensive on, cell_size_check on."""

import apsw

import host

plain_connect = host.connect


def connect(path=host.DATABASE):
    connection = plain_connect(path)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.execute("PRAGMA cell_size_check = 1")
    return connection


host.connect = connect

import story  # noqa: E402, F401 (it is a program)
