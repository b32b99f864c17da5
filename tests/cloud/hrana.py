"""SQL over HTTP as Turso's specification of it says (version 3, JSON): streams
with batons, batches with conditions, errors in band.
"""

import base64
import re
import secrets
import threading
import time

import apsw
import apsw.ext

# What Turso Cloud says no to, by its documentation.
REFUSED = re.compile(r"\s*(PRAGMA\s+(\w+\.)?(journal_mode|busy_timeout)|VACUUM)\b", re.I)
READ_ONLY = re.compile(r"\s*PRAGMA\s+(\w+\.)?(user_version|application_id)\s*[=(]", re.I)
INSERTS = re.compile(r"\s*(INSERT|REPLACE|WITH\b.*\bINSERT)\b", re.I | re.S)


class Refused(Exception):
    """The whole request fails."""

    def __init__(self, status, text, code=None):
        super().__init__(text)
        self.status, self.text, self.code = status, text, code


class SqlError(Exception):
    def __init__(self, message, code, extended=None):
        super().__init__(message)
        self.shown = {"message": message, "code": code}
        if extended:
            self.shown["extended_code"] = extended


class Stream:
    def __init__(self, database):
        self.connection = database.connect()
        self.lock = threading.Lock()
        self.baton = None
        self.used = time.monotonic()
        self.texts = {}
        self.has_state = False


class Streams:
    """Those that wait for another request, by baton."""

    def __init__(self, database, switches):
        self.database, self.switches = database, switches
        self.open, self.lost = {}, {}
        self.lock = threading.Lock()

    def take(self, baton):
        self.expire()
        if baton is None:
            return Stream(self.database)
        with self.lock:
            stream = self.open.pop(baton, None)
            code = self.lost.get(baton)
        if stream is None and code:
            text = "stream expired; the open transaction was rolled back"
            raise Refused(410, text, code)
        if stream is None:
            raise Refused(404, f"stream not found: {baton}")
        return stream

    def keep(self, stream):
        """Under a new baton."""
        stream.used = time.monotonic()
        stream.baton = secrets.token_urlsafe(12)
        with self.lock:
            self.open[stream.baton] = stream
        return stream.baton

    def expire(self, everything=False):
        limit = time.monotonic() - self.switches["stream_idle"]
        with self.lock:
            old = [b for b, s in self.open.items() if everything or s.used < limit]
            gone = [self.open.pop(baton) for baton in old]
            if self.switches["remembers_streams"]:
                self.lost.update(dict.fromkeys(old, "STREAM_EXPIRED"))
        for stream in gone:
            stream.connection.close()

    def pipeline(self, body, version):
        requests = body.get("requests", [])
        if any(request["type"] == "close" for request in requests[:-1]):
            raise Refused(400, "close must be the last request")
        stream = self.take(body.get("baton"))
        closes = bool(requests) and requests[-1]["type"] == "close"
        run = Run(stream, self.switches, version)
        try:
            results = [run.result(request) for request in requests]
        except Exception:
            stream.connection.close()
            raise
        stays = not stream.connection.getautocommit() or stream.texts or stream.has_state
        if closes or not (stays or self.switches["keeps_idle_streams"]):
            stream.connection.close()
            return {"baton": None, "base_url": None, "results": results}
        return {"baton": self.keep(stream), "base_url": self.switches["base_url"], "results": results}


class Run:
    """The requests of one pipeline on its stream."""

    def __init__(self, stream, switches, version):
        self.stream, self.db, self.switches = stream, stream.connection, switches
        self.version = version

    def result(self, request):
        try:
            return {"type": "ok", "response": {"type": request["type"], **self.response(request)}}
        except SqlError as error:
            return {"type": "error", "error": error.shown}

    def response(self, request):
        kind = request["type"]
        if kind == "execute":
            return {"result": self.execute(request["stmt"])}
        if kind == "batch":
            return {"result": self.batch(request["batch"]["steps"])}
        if kind == "sequence":
            self.sequence(self.text(request))
            return {}
        if kind == "describe":
            return {"result": self.describe(self.text(request))}
        if kind == "store_sql":
            self.stream.texts[request["sql_id"]] = request["sql"]
            return {}
        if kind == "close_sql":
            self.stream.texts.pop(request["sql_id"], None)
            return {}
        if kind == "get_autocommit":
            self.only_in_3()
            return {"is_autocommit": self.db.getautocommit()}
        if kind == "close":
            return {}
        raise Refused(400, f"unknown request type {kind}")

    def only_in_3(self):
        if self.version == 2 and self.switches["v2_is_strict"]:
            raise Refused(400, "not in version 2")

    def text(self, request):
        if "sql_id" in request and request["sql_id"] is not None:
            return self.stream.texts[request["sql_id"]]
        return request["sql"]

    def batch(self, steps):
        results, errors = [], []
        for index, step in enumerate(steps):
            result = error = None
            condition = step.get("condition")
            if condition is None or self.holds(condition, index, results):
                try:
                    result = self.execute(step["stmt"])
                except SqlError as failed:
                    error = failed.shown
            results.append(result)
            errors.append(error)
        return {"step_results": results, "step_errors": errors}

    def holds(self, condition, index, results):
        kind = condition["type"]
        if kind in ("ok", "error"):
            if not 0 <= condition["step"] < index:
                raise Refused(400, "a condition names a step that is not before it")
            return (results[condition["step"]] is not None) == (kind == "ok")
        if kind == "not":
            return not self.holds(condition["cond"], index, results)
        if kind in ("and", "or"):
            join = all if kind == "and" else any
            return join(self.holds(each, index, results) for each in condition["conds"])
        if kind == "is_autocommit":
            self.only_in_3()
            return self.db.getautocommit()
        raise Refused(400, f"unknown condition {kind}")

    def sequence(self, text):
        for sql in split(self.db, text):
            self.execute({"sql": sql, "want_rows": False})

    def execute(self, stmt):
        sql = self.text(stmt)
        self.check(sql)
        started = time.monotonic()
        before, cursor, columns = self.db.total_changes(), self.db.cursor(), []

        def describe(cursor, _sql, _bindings):
            # Later there is no description where there are no rows.
            columns.extend({"name": name, "decltype": kind} for name, kind in cursor.get_description())
            return True

        cursor.exec_trace = describe
        try:
            cursor.execute(sql, arguments(stmt))
            rows = [[to_json(value) for value in row] for row in cursor]
        except apsw.Error as error:
            raise sql_error(error) from None
        except (TypeError, ValueError) as error:
            raise SqlError(str(error), "SQL_INPUT_ERROR") from None
        changed = self.db.total_changes() - before
        writes = re.match(r"\s*(INSERT|REPLACE|UPDATE|DELETE|WITH)\b", sql, re.I) and changed
        affected = self.db.changes() if writes else 0
        inserted = affected > 0 and INSERTS.match(sql)
        return {
            "cols": columns,
            "rows": rows if stmt.get("want_rows", True) else [],
            "affected_row_count": affected,
            "last_insert_rowid": str(self.db.last_insert_rowid()) if inserted else None,
            "rows_read": len(rows),
            "rows_written": changed,
            "query_duration_ms": round((time.monotonic() - started) * 1000, 3),
        }

    def check(self, sql):
        if REFUSED.match(sql) or READ_ONLY.match(sql):
            raise SqlError(f"SQL not allowed statement: {sql}", "SQL_NOT_SUPPORTED")
        if self.switches["reads_blocked"] and re.match(r"\s*(SELECT|WITH|VALUES)\b", sql, re.I):
            text = "SQL read operations are forbidden (reads are blocked, do you need to upgrade your plan?)"
            raise SqlError(text, "BLOCKED")
        if re.match(r"\s*PRAGMA\b", sql, re.I):
            self.stream.has_state = True

    def describe(self, sql):
        try:
            info = apsw.ext.query_info(self.db, sql)
        except apsw.Error as error:
            raise sql_error(error) from None
        return {
            "params": [{"name": name} if name else {} for name in info.bindings_names],
            "cols": [{"name": name, "decltype": kind} for name, kind in info.description],
            "is_explain": bool(info.is_explain),
            "is_readonly": info.is_readonly,
        }


def split(db, text):
    while text and text.strip():
        info = apsw.ext.query_info(db, text)
        yield info.first_query
        text = info.query_remaining


def arguments(stmt):
    if stmt.get("named_args"):
        return {each["name"].lstrip(":@$"): from_json(each["value"]) for each in stmt["named_args"]}
    return tuple(from_json(value) for value in stmt.get("args") or [])


def from_json(value):
    kind = value["type"]
    if kind == "null":
        return None
    if kind == "integer":
        return int(value["value"])
    if kind == "float":
        return float(value["value"])
    if kind == "blob":
        text = value["base64"]
        return base64.b64decode(text + "=" * (-len(text) % 4))
    return value["value"]


def to_json(value):
    if value is None:
        return {"type": "null"}
    if isinstance(value, int):
        return {"type": "integer", "value": str(value)}
    if isinstance(value, float):
        finite = value - value == 0
        return {"type": "float", "value": value if finite else None}
    if isinstance(value, bytes):
        return {"type": "blob", "base64": base64.b64encode(value).decode().rstrip("=")}
    return {"type": "text", "value": value}


def sql_error(error):
    if not hasattr(error, "result"):
        return SqlError(str(error), "SQL_INPUT_ERROR")
    names = apsw.mapping_result_codes, apsw.mapping_extended_result_codes
    code = names[0].get(error.result, "SQLITE_UNKNOWN")
    extended = names[1].get(error.extendedresult) if error.result == apsw.SQLITE_CONSTRAINT else None
    return SqlError(str(error), code, extended)
