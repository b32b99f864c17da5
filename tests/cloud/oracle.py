"""Turso's own client for Python (pyturso) against a server: it replicates what
is there, sees what changes, and writes through it.

    python oracle.py URL FOLDER
"""

import sys
import urllib.request

import turso.sync

url, folder = sys.argv[1:]
connection = turso.sync.connect(f"{folder}/oracle-py.db", url)


def rows(sql):
    return connection.execute(sql).fetchall()


print("bootstrap", rows("SELECT count(*), sum(id) FROM t")[0])
connection.execute("INSERT INTO t(x) VALUES ('from python')")
connection.commit()
connection.push()
print("pulled", connection.pull())
print("again", connection.pull())
print("rows", rows("SELECT count(*) FROM t WHERE x = 'from python'")[0])
urllib.request.urlopen(f"{url}/_/generation", data=b"")
connection.execute("INSERT INTO t(x) VALUES ('of another generation')")
connection.commit()
connection.push()
print("pulled", connection.pull())
print("rows", rows("SELECT count(*) FROM t WHERE x = 'of another generation'")[0])
connection.close()
