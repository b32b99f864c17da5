#!/usr/bin/env bash
# Proves that the library exports its entry points, nothing else, and that no
# SQLite is inside: symbols.sh LIBRARY
#
# A build dependency compiles a SQLite of its own. The linker drops it as long
# as nothing calls it directly; one such call, and two SQLites in one process
# would release each other's file locks (sqlite.org/howtocorrupt.html 2.2).
set -euo pipefail
library=$1
failed=0

fail() { echo "symbols: $library $1:" >&2; awk 'NR <= 20 { print "    " $0 }' <<<"$2" >&2; failed=1; }

exported=$(nm -D --defined-only "$library" | awk '{ print $NF }' | sort)
expected=$'sqlite3_extension_init\nsqlite3_replica_init'
[ "$exported" = "$expected" ] || fail "exports other symbols than its two entry points" "$exported"

# SQLite is called through the table that the host hands over, never by name.
imported=$(nm -D --undefined-only "$library" | awk '{ print $NF }' | grep -i '^sqlite' || true)
[ -z "$imported" ] || fail "expects the host to export" "$imported"

# Local symbols: nothing of SQLite's C code, whether its API or its inside.
[ -n "$(nm --defined-only "$library" 2>/dev/null)" ] || fail "has no symbol table to look into" ""
inside=$(nm --defined-only "$library" | awk '{ print $NF }' | grep -E '^sqlite3[A-Z_]' | grep -vxF "$expected" || true)
[ -z "$inside" ] || fail "contains functions of SQLite" "$inside"

# And no text that only SQLite's core has, should the names be stripped.
text=$(strings -n 8 "$library" | grep -E \
    -e '%s at line %d of \[%\.10s\]' \
    -e 'malformed database schema \(' \
    -e '^near "%T": syntax error' \
    -e '^20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9a-f]{64}' || true)
[ -z "$text" ] || fail "contains text of SQLite's core" "$text"

[ "$failed" = 0 ] || exit 1
echo "symbols: $library exports" $expected "and contains no SQLite"
