"""Draws benches/bench.svg from target/bench.json, which `make bench` leaves."""

import json
import os
import re
from html import escape

from support import ROOT

# Rows of the table that are drawn, with a short name and what to divide by.
PICTURES = [
    ("First sync of 100 MB (s)", "first sync, 100 MB, fresh log"),
    ("The same, server defaults (s)", "first sync, 100 MB, server defaults"),
    ("Own write, readable (round trips)", "own write, readable, 50 ms link"),
    ("Sync of one row (ms)", "sync of one row, p50"),
]


def number(cell):
    return float(re.search(r"[\d.]+", cell.split("libsql ")[-1]).group())


def main():
    with open(os.path.join(ROOT, "target", "bench.json")) as file:
        rows = {row[0]: row for row in json.load(file) if row[2].startswith("libsql")}
    parts, y = [], 34
    for title, name in PICTURES:
        if name not in rows:
            continue
        ours, peer = number(rows[name][1]), number(rows[name][2])
        parts.append(f'<text x="10" y="{y}" class="t">{escape(title)}</text>')
        for label, value, color in (("sqlite-replica", ours, "#2f6f4f"), ("libsql", peer, "#b9b4a7")):
            y += 18
            width = 330 * value / max(ours, peer)
            parts.append(f'<text x="10" y="{y}">{label}</text>')
            parts.append(f'<rect x="110" y="{y - 10}" width="{width:.1f}" height="12" fill="{color}"/>')
            parts.append(f'<text x="{116 + width:.1f}" y="{y}">{value:g}</text>')
        y += 34
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 {y}" font-family="sans-serif" font-size="11">'
        f'<style>.t{{font-weight:bold}}</style><rect width="520" height="{y}" fill="#fff"/>'
        '<text x="10" y="14" fill="#666">shorter is better; medians of one run of `make bench`</text>'
        f'{"".join(parts)}</svg>\n'
    )
    with open(os.path.join(ROOT, "benches", "bench.svg"), "w") as file:
        file.write(svg)


main()
