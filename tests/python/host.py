"""What the host scripts share: argv is LIBRARY URL DATABASE."""

import json
import sys
import urllib.request

import apsw

LIBRARY, URL, DATABASE = sys.argv[1:4]


def connect(path=DATABASE):
    """A connection with the extension loaded and nothing attached."""
    connection = apsw.Connection(path)
    connection.enable_load_extension(True)
    connection.load_extension(LIBRARY)
    return connection


def value(connection, sql, *args):
    """The only value of the only row."""
    rows = list(connection.execute(sql, args))
    assert len(rows) == 1 and len(rows[0]) == 1, rows
    return rows[0][0]


def report(connection, sql, *args):
    """The JSON that a function of ours returned."""
    return json.loads(value(connection, sql, *args))


def on_primary(sql):
    """Runs statements on the primary, as somebody else."""
    body = {"requests": [{"type": "sequence", "sql": sql}, {"type": "close"}]}
    answer = json.load(urllib.request.urlopen(URL + "/v3/pipeline", json.dumps(body).encode()))
    assert answer["results"][0]["type"] == "ok", answer


def raises(kind, text, function, *args):
    """`function` must raise exactly this."""
    try:
        function(*args)
    except kind as error:
        assert text in str(error), f"{error!r} does not mention {text!r}"
        return error
    raise AssertionError(f"no {kind.__name__} with {text!r}")
