"""What tells one state of the primary of `soak.py` from another: a digest of
all its tables, with the number of the commit."""

# Of a blob the ends and the middle stand for the whole; that all of it is where
# it should be is what integrity_check is asked.
BYTE = "unicode(hex(substr(b, {0}, 1))) * 31 + unicode(substr(hex(substr(b, {0}, 1)), 2))"
CONTENT = " + ".join(BYTE.format(at) for at in ("1", "1 + length(b) / 2", "-1"))
DIGEST = (
    "SELECT (SELECT n FROM seq), (SELECT sum(v) || ',' || count(*) || ',' || sum(id * v) || ',' "
    "|| sum(id * id * v) FROM acc) || ';' || (SELECT count(*) || ',' || ifnull(sum(id), 0) || ',' || "
    f"ifnull(sum((id % 97) * length(b)), 0) || ',' || ifnull(sum((id % 9973) * ({CONTENT})), 0) "
    "FROM junk) || ';' || (SELECT group_concat(name || length(sql)) FROM (SELECT name, sql FROM "
    "sqlite_schema WHERE sql IS NOT NULL ORDER BY name))")
