"""Many connections of a process share what goes to the primary: few sockets
stay, none when the last of them is closed."""

import os
import threading
import time

from host import URL, connect, report

CONNECTIONS, KEPT = 12, 4


def sockets():
    links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link).startswith("socket:") for link in links if os.path.exists(link))


def within_a_minute(wanted):
    """Idle streams are closed after some seconds."""
    deadline = time.monotonic() + 60
    while not wanted() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert wanted(), f"{sockets()} sockets"


def write(connection, rounds):
    for _ in range(rounds):
        report(connection, "SELECT replica_write('INSERT INTO t VALUES (2)')")


before = sockets()
connections = [connect() for _ in range(CONNECTIONS)]
for connection in connections:
    report(connection, "SELECT replica_attach(?, NULL)", URL)
    write(connection, 1)
within_a_minute(lambda: sockets() - before <= KEPT)

# All at once: each finds a way, and as few are left.
threads = [threading.Thread(target=write, args=(one, 5)) for one in connections]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
within_a_minute(lambda: sockets() - before <= KEPT)

for connection in connections:
    connection.close()
within_a_minute(lambda: sockets() == before)
print(f"{CONNECTIONS} connections that wrote keep {KEPT} sockets at most")
