"""What a point SELECT costs through the Python connection, beside its bare binding: reads.py sqlite3|apsw

Prints the microseconds of both and their ratio: the median of rounds that take turns.
"""

import importlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "packages" / "python"), str(ROOT / "tests" / "hosts")]
import run as hosts  # noqa: E402  (the folder is no package)
import sqlite_replica  # noqa: E402

SQL = "SELECT item FROM orders WHERE id = ?"
ROUNDS, TIMES = 60, 4000


def seconds(db):
    started = time.perf_counter()
    for number in range(TIMES):
        db.execute(SQL, (number % 7,)).fetchone()
    return (time.perf_counter() - started) / TIMES


with tempfile.TemporaryDirectory() as folder, hosts.Primary() as primary:
    replica = sqlite_replica.connect(f"{folder}/app.db", sync_url=primary.url, binding=sys.argv[1])
    binding = importlib.import_module(sys.argv[1])
    bare = (binding.Connection if sys.argv[1] == "apsw" else binding.connect)(f"{folder}/app.db")
    found = [(seconds(bare), seconds(replica)) for _ in range(ROUNDS)]
    print(f"bare {statistics.median(one for one, _ in found) * 1e6:.2f} us, adapter "
          f"{statistics.median(two for _, two in found) * 1e6:.2f} us, ratio {statistics.median(two / one for one, two in found):.3f}")
