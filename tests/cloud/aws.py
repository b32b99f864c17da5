"""What Turso Cloud on AWS is to a client, as far as public sources say it: a
small HTTP server in front of an ordinary SQLite file. SIMULATED: nothing of it
was compared with the cloud itself; `oracle.py` and `oracle.mjs` hold it to what
Turso's own clients accept.

    python aws.py FOLDER HOST:PORT

`POST /_/switches` changes how it behaves (`SWITCHES` below), `/_/generation`
ends a generation of the log, `/_/streams` loses all streams, and `/_/requests`
tells what was asked, over which connection, and forgets it.
"""

import json
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from database import Database, revision, state_of
from hrana import Refused, Streams

JSON = "application/json"
PROTOBUF = "application/protobuf"

SWITCHES = {
    # How a gRPC call is refused: "unimplemented", or "unknown" as any route.
    "grpc": "unimplemented",
    "token": None,
    # `x-turso-encryption-key` of all requests.
    "encryption_key": None,
    # The quota of rows read is used up: no pull, and no SELECT.
    "reads_blocked": False,
    # A database that was just created: unknown by its name for so many seconds.
    "appears_in": 0,
    # So many requests are answered 408, after they were done.
    "late": 0,
    # So many are answered 429, with this Retry-After.
    "limited": 0,
    "retry_after": 1,
    # All requests are sent there by 307, but for those below /pinned, which is
    # another name for this very server.
    "redirect": None,
    # Whether states of earlier generations are known. Of one that is not, the
    # answer is all there is ("replace") or a status that refuses it. Turso's own
    # clients take neither, so that it must be rare.
    "knows_the_past": True,
    "unknown_state": "replace",
    # Longest wait for a change, in seconds; 0 for none at all.
    "long_poll": 20,
    "mvcc": False,
    # Streams: how long one may be idle, whether the server says of a lost one
    # that it has expired, whether it keeps one without a transaction, and where
    # it binds them to.
    "stream_idle": 10,
    "remembers_streams": True,
    "keeps_idle_streams": False,
    "base_url": None,
    # What only version 3 has is refused at /v2, as it may be; Turso's own clients
    # would not work then.
    "v2_is_strict": False,
    # So old that it knows no /v3.
    "only_v2": False,
}


class Cloud:
    def __init__(self, folder):
        self.switches = dict(SWITCHES)
        self.database = Database(folder)
        self.streams = Streams(self.database, self.switches)
        self.requests = []
        self.lock = threading.Lock()

    def counts_down(self, switch):
        with self.lock:
            left = self.switches[switch]
            self.switches[switch] = max(0, left - 1)
            return left > 0

    def control(self, name, body):
        if name == "switches":
            changes = json.loads(body)
            unknown = changes.keys() - SWITCHES.keys()
            assert not unknown, unknown
            self.switches.update(changes)
            if "appears_in" in changes:
                self.switches["appears_in"] = time.monotonic() + changes["appears_in"]
        elif name == "generation":
            self.database.next_generation()
        elif name == "streams":
            self.streams.expire(everything=True)
        elif name == "requests":
            with self.lock:
                seen, self.requests[:] = list(self.requests), []
            return seen
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer in two pieces waits for no acknowledgement of the first.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self):
        body = self.read_body()
        if self.path.startswith("/_/"):
            return self.answer_json(200, self.server.cloud.control(self.path[3:], body))
        try:
            self.route(body)
        except Answered:
            pass
        except Refused as refused:
            said = {"error": refused.text}
            if refused.code:
                said["code"] = refused.code
            self.answer_json(refused.status, said)

    def do_GET(self):
        self.answer_json(404, {"error": f'route not found: ["{self.path.strip("/")}"]'})

    def route(self, body):
        cloud, switches = self.server.cloud, self.server.cloud.switches
        pinned = self.path.startswith("/pinned/")
        self.check(switches, pinned)
        path = self.path.removeprefix("/pinned")
        version = {"/v2/pipeline": 2, "/v3/pipeline": 3}.get(path)
        if self.path.startswith("/wal_log.ReplicationLog/") and switches["grpc"] == "unimplemented":
            return self.answer(200, b"", "application/grpc-web-text", {
                "grpc-status": "12",
                "grpc-message": "this database speaks another version of the sync protocol",
            })
        if path == "/pull-updates":
            return self.pull(body)
        if version == 2 or version == 3 and not switches["only_v2"]:
            answer = cloud.streams.pipeline(json.loads(body), version)
            if cloud.counts_down("late"):
                raise Refused(408, "request timed out")
            return self.answer_json(200, answer)
        raise Refused(404, f'route not found: {json.dumps(self.path.strip("/").split("/"))}')

    def check(self, switches, pinned):
        if switches["redirect"] and not pinned:
            self.answer(307, b"", JSON, {"location": switches["redirect"] + self.path})
            raise Answered
        if time.monotonic() < switches["appears_in"]:
            raise Refused(404, "Host not found")
        if self.server.cloud.counts_down("limited"):
            self.answer(429, b'{"error":"too many requests"}', JSON, {
                "retry-after": str(switches["retry_after"]),
            })
            raise Answered
        token = self.headers.get("authorization")
        if switches["token"] and token != f"Bearer {switches['token']}":
            raise Refused(401, "Unauthorized: `The JWT is invalid`")
        key = switches["encryption_key"]
        if key and self.headers.get("x-turso-encryption-key") != key:
            raise Refused(400, "the database is encrypted: a key is required")

    def pull(self, body):
        cloud, switches = self.server.cloud, self.server.cloud.switches
        if switches["reads_blocked"]:
            text = "SQL read operations are forbidden (reads are blocked, do you need to upgrade your plan?)"
            raise Refused(403, text)
        asked = fields_of(body)
        known = state_of(asked.get(3, b"").decode())
        if switches["mvcc"] and known and not asked.get(8):
            raise Refused(400, "MVCC incremental pull-updates requires stream_kind=mvcc_logical_log")
        wait = min(asked.get(4, 0) / 1000, switches["long_poll"])
        if known and wait:
            cloud.database.wait_for_change(known, wait)
        current = known and known[0] == cloud.database.state()[0]
        fits = current or known and switches["knows_the_past"]
        found = cloud.database.pages(known) if fits else None
        if known and found is None and switches["unknown_state"] != "replace":
            raise Refused(switches["unknown_state"], "this revision is gone")
        whole = known and found is None
        state, size, pages = found or cloud.database.pages()
        if asked.get(5):
            pages = {page: pages[page] for page in selected(asked[5]) if page in pages}
        head = field(1, revision(state).encode()) + number(2, size) + field(3, b"")
        if whole:
            head += number(6, 1)
        head += number(8, 2 if switches["mvcc"] else 1)
        parts = [delimited(head)]
        parts += [delimited(number(1, page - 1) + field(2, image)) for page, image in pages.items()]
        self.answer(200, b"".join(parts), PROTOBUF)

    def read_body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while length := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer_json(self, status, value):
        self.answer(status, json.dumps(value).encode(), JSON)

    def answer(self, status, body, kind, headers=None):
        if not self.path.startswith("/_/"):
            with self.server.cloud.lock:
                self.server.cloud.requests.append([self.path, status, self.client_address[1]])
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_arguments):
        pass


class Answered(Exception):
    """Nothing is left to be said."""


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def delimited(message):
    return varint(len(message)) + message


def field(tag, data):
    return varint(tag << 3 | 2) + delimited(data)


def number(tag, value):
    return varint(tag << 3) + varint(value)


def fields_of(message):
    """Numbers and bytes of a message, by tag."""
    fields, at = {}, 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = take()
        if key & 7 == 0:
            fields[key >> 3] = take()
        elif key & 7 == 2:
            length = take()
            fields[key >> 3] = message[at : at + length]
            at += length
        else:
            raise Refused(400, "the request cannot be decoded")
    return fields


def selected(bitmap):
    """Numbers of the pages in a roaring bitmap (its portable form), of which
    clients send the one with lists of values."""
    cookie, count = struct.unpack_from("<II", bitmap)
    if cookie != 12346:
        raise Refused(400, "the selector cannot be decoded")
    pages = []
    for index in range(count):
        key, cardinality = struct.unpack_from("<HH", bitmap, 8 + 4 * index)
        (offset,) = struct.unpack_from("<I", bitmap, 8 + 4 * count + 4 * index)
        for value in struct.unpack_from(f"<{cardinality + 1}H", bitmap, offset):
            pages.append((key << 16 | value) + 1)
    return pages


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main():
    folder, address = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    server = Server((host, int(port)), Handler)
    server.cloud = Cloud(folder)
    server.serve_forever()


if __name__ == "__main__":
    main()
