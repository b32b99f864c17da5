"""The command `sqlite-replica`.

    sqlite-replica [path]                prints where the library is
    sqlite-replica follow FILE [URL]     keeps FILE a fresh replica of URL

`follow` is for programs that cannot load extensions: they read the file, it
follows. It shows the progress of the first sync and then one line of state,
connects again by itself, and ends cleanly with SIGINT or SIGTERM. URL and
token are taken from REPLICA_URL and REPLICA_TOKEN, or from a file with the URL
in its first line and the token in its second: the arguments of a process can be
seen by others.
"""

import argparse
import json
import os
import signal
import sqlite3
import sys
import threading

from ._connect import connect
from ._library import loadable_path

# Worth trying again: not reached, busy. Everything else wants a person.
PASSING = {5, 14}
BAR = 30


class Screen:
    """One line that is written over on a terminal; elsewhere a line for each change."""

    def __init__(self, stream, quiet):
        self.stream, self.quiet, self.last = stream, quiet, None
        self.is_terminal = stream.isatty()

    def show(self, text, fleeting=False):
        if self.quiet or text == self.last or (fleeting and not self.is_terminal):
            return
        self.last = text
        self.stream.write(f"\r\x1b[K{text}" if self.is_terminal else f"{text}\n")
        self.stream.flush()

    def end(self):
        if self.is_terminal and self.last is not None:
            self.stream.write("\n")


class Follower:
    def __init__(self, arguments, screen):
        self.arguments, self.screen = arguments, screen
        self.stop = threading.Event()
        self.url = arguments.url or os.environ.get("REPLICA_URL")
        self.options = {"namespace": arguments.namespace} if arguments.namespace else {}
        if arguments.token_file:
            self.options["token_file"] = arguments.token_file
            with open(arguments.token_file, encoding="utf-8") as file:
                self.url = self.url or file.readline().strip()
        if not self.url:
            raise RuntimeError("which primary? give its URL, or set REPLICA_URL")

    def open(self, **options):
        return connect(self.arguments.file, sync_url=self.url, options={**self.options, **options})

    def run(self):
        """Until somebody stops it."""
        wait = 1
        while not self.stop.is_set():
            try:
                self.bring_up_to_date()
                if self.arguments.once:
                    return
                self.follow()
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 14) & 255 not in PASSING or self.arguments.once:
                    raise
                self.screen.show(f"{error}; again in {wait} s")
                self.stop.wait(wait)
                wait = min(wait * 2, 30)

    def bring_up_to_date(self):
        db = self.open(first_sync=False)
        try:
            rows = db.execute("SELECT phase, frames_done, frames_total, percent FROM replica_sync_progress")
            for phase, done, total, percent in rows:
                if self.stop.is_set():
                    return
                filled = int(BAR * (percent or 0) / 100)
                bar = "#" * filled + "." * (BAR - filled)
                self.screen.show(f"[{bar}] {phase} {done or 0}/{total if total is not None else '?'} frames", fleeting=True)
        finally:
            db.close()

    def follow(self):
        interval = self.arguments.interval
        db = self.open(**({"sync_interval": interval} if interval else {"live": True}))
        try:
            while not self.stop.is_set():
                status = json.loads(db.execute("SELECT replica_status()").fetchone()[0])
                self.screen.show(line_of(status))
                self.stop.wait(1)
        finally:
            db.close()


def line_of(status):
    text = f"{status['state']}, frame {status['frame_no']}"
    if status.get("lag_frames"):
        text += f", {status['lag_frames']} behind"
    if status.get("last_error"):
        text += f" ({status['last_error']})"
    return text


def parser():
    summary, _, description = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser("sqlite-replica", description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("path", help="print where the library is (the default)")
    follow = commands.add_parser("follow", help="keep a file a fresh replica of a primary")
    follow.add_argument("file")
    follow.add_argument("url", nargs="?", help="the primary (default: REPLICA_URL)")
    follow.add_argument("--token-file", help="a file with the URL and the token, a line each")
    follow.add_argument("--namespace", help="database on a primary with several")
    follow.add_argument("--interval", type=float, help="seconds between syncs, instead of a live stream")
    follow.add_argument("--once", action="store_true", help="sync once and end")
    follow.add_argument("--quiet", action="store_true", help="say nothing but errors")
    return parser


def main(arguments=None):
    given = parser().parse_args(arguments)
    if given.command != "follow":
        print(loadable_path())
        return 0
    screen = Screen(sys.stderr, given.quiet)
    try:
        follower = Follower(given, screen)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: follower.stop.set())
        follower.run()
    except (sqlite3.Error, OSError, RuntimeError) as error:
        screen.end()
        print(f"sqlite-replica: {error}", file=sys.stderr)
        return 1
    screen.end()
    return 0
