"""What many replicas in one process take: sockets, descriptors, threads, memory."""

import json
import resource
import time
import urllib.error
import urllib.request

from support import TABLE, Sqld, child, free_port


class Namespaces(Sqld):
    """A primary with databases `n0`, `n1`, …, each with an empty table `t`."""

    def __init__(self, count):
        admin = free_port()
        # Both sides keep several files open for each; what is started inherits it.
        highest = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
        active = "--max-active-namespaces", str(count + 10)
        super().__init__("--enable-namespaces", "--admin-listen-addr", f"127.0.0.1:{admin}", *active)
        for number in range(count):
            url = f"http://127.0.0.1:{admin}/v1/namespaces/n{number}/create"
            request = urllib.request.Request(url, b"{}", {"content-type": "application/json"})
            urllib.request.urlopen(request).read()
            self._make_table(f"n{number}")

    def _make_table(self, name):
        """sqld may say for a moment that a new database does not exist."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return execute_in(self.url, name, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x)")
            except urllib.error.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def execute(self, *statements):
        """Only to see whether it is there."""
        execute_in(self.url, "default", statements[0])


def execute_in(url, namespace, sql):
    """Runs a statement in a namespace, which sqld finds by the host's name."""
    body = json.dumps({"requests": [{"type": "execute", "stmt": {"sql": sql}}, {"type": "close"}]})
    headers = {"host": f"{namespace}.localhost"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/v3/pipeline", body.encode(), headers)).read()


def connections():
    """Fifty connections to one file that wrote once, a minute later."""
    sqld = Sqld()
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    for options, name in (("{}", "50 connections that wrote"), ('{"live": true}', "50 live connections")):
        run = child("many_connections", sqld.url, count=50, options=options)
        TABLE.add(name, f"{run['sockets']} sockets", "–", "", f"{run['descriptors']:.1f} descriptors each beyond the host's own, {run['threads']} threads of ours, {run['memory_mb']:.0f} MB more")
    sqld.close()


def live_replicas():
    """Live replicas of as many namespaces, in one process."""
    for count in (100, 1000):
        sqld = Namespaces(count)
        run = child("many_replicas", sqld.url, count=count)
        TABLE.add(f"{count} live replicas of {count} namespaces", f"{run['memory_mb'] * 1000 / count:.0f} KB each", "–", "", f"{run['descriptors'] / count:.1f} descriptors and {run['threads'] / count:.2f} threads each, idle {run['processor'] * 100:.1f} % of a core, all fresh {run['fresh_seconds']:.1f} s after a write to each")
        sqld.close()
