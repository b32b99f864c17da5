"""An attach that would never end, interrupted: interrupted.py LIBRARY URL FILE

Prints the seconds from the interrupt to the end, the MB that the process grew
by in the second half of the wait, and the error.
"""

import resource
import sys
import threading
import time

import apsw

library, url, file = sys.argv[1:]
connection = apsw.Connection(file)
connection.enable_load_extension(True)
connection.load_extension(library)
at = []
peaks = []


def note_peak():
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def interrupt():
    at.append(time.monotonic())
    connection.interrupt()


threading.Timer(1.5, note_peak).start()
threading.Timer(3, interrupt).start()
try:
    connection.execute("SELECT replica_attach(?)", (url,)).fetchall()
except apsw.Error as error:
    took = time.monotonic() - at[0]
    note_peak()
    print(f"{took:.1f} {peaks[1] - peaks[0]} {error}")
assert connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
