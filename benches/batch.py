"""Loading rows: replica_batch, replica_write in a loop, and libsql's executemany.

batch.py [ROWS]: each way starts on a primary of its own; a loop of single
writes gets a fiftieth of the rows and executemany a tenth, because they pay
a round trip for each. Prints rows per second; medians of three runs.
"""

import os
import shutil
import sys
import tempfile
import time

from support import EXTENSION, Sqld, median

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
INSERT = "INSERT INTO t VALUES (?, ?)"


def replica(path, url):
    import apsw

    connection = apsw.Connection(path)
    connection.enable_load_extension(True)
    connection.load_extension(EXTENSION, "sqlite3_replica_init")
    connection.execute("SELECT replica_attach(?, NULL)", (url,)).fetchall()
    return connection


def batch(path, url, rows):
    connection = replica(path, url)
    connection.execute("CREATE TEMP TABLE staging(a, b)")
    with connection:
        connection.executemany("INSERT INTO staging VALUES (?, ?)", rows)
    started = time.perf_counter()
    connection.execute(f"SELECT replica_batch('{INSERT}', a, b) FROM staging").fetchall()
    seconds = time.perf_counter() - started
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (len(rows),)
    return seconds


def loop(path, url, rows):
    connection = replica(path, url)
    started = time.perf_counter()
    for row in rows:
        connection.execute(f"SELECT replica_write('{INSERT}', ?, ?)", row).fetchall()
    return time.perf_counter() - started


def libsql(path, url, rows):
    # It logs each row otherwise.
    os.environ["RUST_LOG"] = "off"
    import libsql_experimental

    connection = libsql_experimental.connect(path, sync_url=url, auth_token="")
    connection.sync()
    started = time.perf_counter()
    connection.executemany(INSERT, rows)
    connection.commit()
    connection.sync()
    seconds = time.perf_counter() - started
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (len(rows),)
    return seconds


def rows_per_second(way, count):
    sqld = Sqld()
    sqld.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)")
    folder = tempfile.mkdtemp(prefix="replica-bench-")
    try:
        rows = [(number, f"value {number}") for number in range(count)]
        return count / way(os.path.join(folder, "app.db"), sqld.url, rows)
    finally:
        sqld.close()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    for name, way, count in (
        ("replica_batch", batch, ROWS),
        ("replica_write in a loop", loop, ROWS // 50),
        ("libsql executemany", libsql, ROWS // 10),
    ):
        speeds = [rows_per_second(way, count) for _ in range(3)]
        print(f"{name:24} {count:8} rows {median(speeds):10.0f} rows/s  ({min(speeds):.0f} to {max(speeds):.0f})", flush=True)


if __name__ == "__main__":
    main()
