"""A primary of any size that takes no room: its log is made while it is read.

It speaks as much of sqld's replication log as a first sync needs. Its database
is an empty table and pages that nothing refers to, which a replica cannot tell
from any others.
"""

import contextlib
import http.server
import os
import sqlite3
import struct
import tempfile
import threading

from frames import fields, framed, varint

PAGE = 4096
# Frames in a transaction, and in an answer to BatchLogEntries.
COMMIT, BATCH = 1000, 1024
END = b"\x80" + (16).to_bytes(4, "big") + b"grpc-status: 0\r\n"


def first_pages(pages):
    """Two pages of a database that says it has so many."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "db")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE t(x)")
        with open(path, "rb") as file:
            first, second = file.read(PAGE), file.read(PAGE)
    return first[:28] + struct.pack(">I", pages) + first[32:], second


class SparsePrimary:
    def __init__(self, pages):
        self.pages = pages
        self.first = first_pages(pages)
        primary = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(200)
                self.send_header("content-type", "application/grpc-web+proto")
                self.send_header("connection", "close")
                self.end_headers()
                self.close_connection = True
                # A stream that has told enough is closed by its reader.
                with contextlib.suppress(OSError):
                    for part in primary.answer(self.path.rsplit("/", 1)[1], body[5:]):
                        self.wfile.write(part)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()

    def answer(self, method, message):
        if method == "Hello":
            log_id = b"00000000-0000-4000-8000-000000000000"
            reply = b"\x1a" + varint(len(log_id)) + log_id + b"\x22\x01s\x28" + varint(self.pages - 1)
            yield framed(reply) + END
            return
        start = dict(fields(message)).get(1, 0)
        if method == "BatchLogEntries":
            frames = (b"\x0a" + varint(len(frame)) + frame for frame in self.frames(start, start + BATCH))
            yield framed(b"".join(frames)) + END
            return
        for at in range(start, self.pages, 64):
            yield b"".join(map(framed, self.frames(at, at + 64)))
        yield END

    def frames(self, start, end):
        rest = bytes(PAGE)
        for number in range(start, min(end, self.pages)):
            last = number + 1 == self.pages
            size = number + 1 if last or (number + 1) % COMMIT == 0 else 0
            page = self.first[number] if number < 2 else rest
            yield b"\x0a\x98\x20" + struct.pack("<QQII", number, 0, number + 1, size) + page
