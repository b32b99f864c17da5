"""Just enough of sqld's replication log to ask for every frame once."""

import urllib.request


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(message):
    """(number, value) of each field: numbers and byte strings."""
    at = 0
    while at < len(message):
        key, at = read_varint(message, at)
        value, at = read_varint(message, at)
        if key & 7 == 2:
            value, at = message[at : at + value], at + value
        yield key >> 3, value


def framed(message):
    return b"\0" + len(message).to_bytes(4, "big") + message


def call(url, method, message, headers=()):
    request = urllib.request.Request(f"{url}/wal_log.ReplicationLog/{method}", framed(message))
    request.add_header("content-type", "application/grpc-web+proto")
    for header in headers:
        request.add_header(*header.split(": ", 1))
    body = urllib.request.urlopen(request).read()
    return body[5 : 5 + int.from_bytes(body[1:5], "big")]


def plan(url):
    """Headers and body of each BatchLogEntries call of a whole pull."""
    hello = dict(fields(call(url, "Hello", b"\x08\x01")))
    headers = ["content-type: application/grpc-web+proto", f"x-session-token: {hello[4].decode()}"]
    head, next_offset, requests = hello[5], 0, []
    while next_offset <= head:
        message = b"\x08" + varint(next_offset)
        requests.append((headers, framed(message)))
        answer = call(url, "BatchLogEntries", message, headers[1:])
        last = [value for _, value in fields(answer)][-1]
        next_offset = int.from_bytes(dict(fields(last))[1][:8], "little") + 1
    return requests
