"""A process that syncs one file until it is told to end, or dies at a fault
point: LIBRARY URL DATABASE SECONDS. Prints a JSON line for each sync."""

import json
import random
import sys
import time

import apsw

LIBRARY, URL, DATABASE, SECONDS = sys.argv[1:5]


def say(**what):
    print(json.dumps(what), flush=True)


def main():
    db = apsw.Connection(DATABASE)
    db.set_busy_timeout(10_000)
    db.enable_load_extension(True)
    db.load_extension(LIBRARY)
    end, attached, last = time.monotonic() + float(SECONDS), False, (None, -1)
    while time.monotonic() < end:
        try:
            if not attached:
                db.execute("SELECT replica_attach(?, NULL, ?)", (URL, '{"timeout": 5}')).fetchall()
                attached = True
            report = json.loads(db.execute("SELECT replica_sync()").fetchone()[0])
            history = db.execute("SELECT log_id FROM replica_status").fetchone()[0]
            frame_no = report["frame_no"]
            if not report["reset"] and history == last[0] and frame_no < last[1]:
                say(failure=f"frame {frame_no} after {last[1]}")
            last = (history, frame_no)
            say(synced=1, reset=int(report["reset"]), bytes=report["bytes_received"])
        except (apsw.BusyError, apsw.CantOpenError) as error:
            # Somebody else syncs, or the primary is away.
            say(busy=isinstance(error, apsw.BusyError), away=isinstance(error, apsw.CantOpenError),
                text=str(error))
        except apsw.Error as error:
            linked = "has another name (a hard link)" in str(error)
            say(linked=True) if linked else say(failure=f"{type(error).__name__}: {error}")
        time.sleep(random.random() * 0.03)


main()
