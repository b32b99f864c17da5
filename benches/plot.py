"""Draws benches/bench.svg and benches/growth.svg from target/bench.json, which
`make bench` leaves."""

import json
import os
import re
from html import escape

from support import ROOT

# Rows of the table that are drawn, with a short name and what to divide by.
PICTURES = [
    ("First sync of 100 MB (s)", "first sync, 100 MB, transactions of 5 MB"),
    ("The same in one transaction (s)", "first sync, 100 MB, transactions of 100 MB"),
    ("The same from snapshots (s)", "first sync, 100 MB, from snapshots"),
    ("Own write, readable (round trips)", "own write, readable, 50 ms link"),
    ("Sync of one row (ms)", "sync of one row, p50"),
]
OURS, PEER = "#2f6f4f", "#b9b4a7"


def number(cell):
    return float(re.search(r"[\d.]+", cell.split("libsql ")[-1]).group())


def bars(title, groups):
    """A picture of groups of bars: `[(group, [(label, value, color)])]`."""
    parts, y = [], 34
    for group, values in groups:
        parts.append(f'<text x="10" y="{y}" class="t">{escape(group)}</text>')
        longest = max(value for _, value, _ in values)
        for label, value, color in values:
            y += 18
            width = 330 * value / longest
            parts.append(f'<text x="10" y="{y}">{label}</text>')
            parts.append(f'<rect x="110" y="{y - 10}" width="{width:.1f}" height="12" fill="{color}"/>')
            parts.append(f'<text x="{116 + width:.1f}" y="{y}">{value:g}</text>')
        y += 34
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 {y}" font-family="sans-serif" font-size="11">'
        f'<style>.t{{font-weight:bold}}</style><rect width="520" height="{y}" fill="#fff"/>'
        f'<text x="10" y="14" fill="#666">{title}; medians of one run of `make bench`</text>'
        f'{"".join(parts)}</svg>\n'
    )


def beside_libsql(rows):
    rows = {row[0]: row for row in rows if row[2].startswith("libsql")}
    return [
        (title, [("sqlite-replica", number(rows[name][1]), OURS), ("libsql", number(rows[name][2]), PEER)])
        for title, name in PICTURES
        if name in rows
    ]


def growth(rows):
    """Seconds and peak memory of first syncs by their size."""
    sized = [(found.group(1), row) for row in rows if (found := re.fullmatch(r"first sync, ([\d.]+ [MG]B)", row[0]))]
    seconds = [(size, number(row[1]), OURS) for size, row in sized]
    memory = [(size, number(row[4]), PEER) for size, row in sized]
    return [("First sync (s)", seconds), ("Peak memory, with Python's own (MB)", memory)] if sized else []


def main():
    with open(os.path.join(ROOT, "target", "bench.json")) as file:
        rows = json.load(file)
    for name, title, groups in (
        ("bench.svg", "shorter is better", beside_libsql(rows)),
        ("growth.svg", "a first sync by the size of the database", growth(rows)),
    ):
        with open(os.path.join(ROOT, "benches", name), "w") as file:
            file.write(bars(title, groups))


main()
