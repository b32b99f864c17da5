"""Draws the first session of the README as a terminal, from a real run: record.py LIBRARY FILE.svg

What is typed is read from README.md: the lines behind `sqlite> ` of its first
session, and then one that another program makes, without the extension. The real
sqlite3 shell answers, against a real sqld with the table of `make primary`.

The picture is one SVG of text, played once by CSS; what does not play CSS, and
whoever asks for less motion, sees the end of it.
"""

import html
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "hosts"))
import run  # noqa: E402

COLUMNS, LINE, LEFT, TOP = 92, 17, 16, 44
# Seconds: for each letter that is typed, and until what follows is typed.
LETTER, PAUSE = 0.02, 0.7
STYLE = """
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace;fill:#c9d1d9;white-space:pre}
.p{fill:#7d8590}.t{fill:#fff}.e{fill:#ff7b72}
g{animation:s .01s both}@keyframes s{from{opacity:0}to{opacity:1}}
@media(prefers-reduced-motion){g{animation:none}}
"""


class Primary(run.Primary):
    """With the table of `make primary`."""

    TABLE = ("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT, amount INTEGER DEFAULT 1);"
             "INSERT INTO orders(id, item, amount) VALUES (5, 'rope', 20), (6, 'compass', 1), (7, 'lantern', 2);")


class Shell:
    """The real sqlite3 shell, asked line by line."""

    END = "-- end of an answer --"

    def __init__(self, folder):
        self.process = subprocess.Popen(
            ["sqlite3", "-batch", "-init", "/dev/null", "app.db"], cwd=folder, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ask(self, line):
        self.process.stdin.write(f"{line}\n.print {self.END!r}\n")
        answer = []
        for said in self.process.stdout:
            if said.rstrip("\n") == self.END:
                return answer
            answer.append(said.rstrip("\n"))
        sys.exit(f"the shell has ended at: {line}")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def typed():
    """What the README types into its first session."""
    blocks = re.findall(r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    session = next(block for block in blocks if "sqlite> .load" in block)
    return re.findall(r"^sqlite> (.*)$", session, re.MULTILINE)


def record(library, folder, url):
    """Pairs of what is typed, as (prompt, text), and the lines that come."""
    (folder / "dist").mkdir()
    shutil.copy(library, folder / "dist" / Path(library).name)
    shell = Shell(folder)
    steps = [(("$ ", "sqlite3 app.db"), [])]
    for line in typed():
        said = shell.ask(line.replace("http://127.0.0.1:8080", url))
        steps.append((("sqlite> ", line), said))
    shell.close()
    plain = "SELECT item FROM orders WHERE id = 7; INSERT INTO orders(item) VALUES ('stray')"
    done = subprocess.run(["sqlite3", "-init", "/dev/null", "app.db", plain], cwd=folder, text=True,
                          capture_output=True)
    steps.append((("$ ", f'sqlite3 app.db "{plain}"'), [*done.stdout.splitlines(), *done.stderr.splitlines()]))
    assert "readonly" in done.stderr, done.stderr
    return steps


def wrapped(line):
    return [line[at:at + COLUMNS] for at in range(0, len(line), COLUMNS)] or [""]


def draw(steps):
    groups, row, at = [], 0, 0.5

    def group(lines, delay):
        """Each line is a list of (class, text)."""
        nonlocal row
        texts = []
        for line in lines:
            spans = "".join(f'<tspan class="{name}">{html.escape(text, quote=False)}</tspan>' if name
                            else html.escape(text, quote=False) for name, text in line)
            texts.append(f'<text x="{LEFT}" y="{TOP + LINE * row}">{spans}</text>')
            row += 1
        groups.append(f'<g style="animation-delay:{delay:.1f}s">{"".join(texts)}</g>')

    for (prompt, text), said in steps:
        first, *rest = wrapped(prompt + text)
        group([[("p", prompt), ("t", first[len(prompt):])], *[[("t", line)] for line in rest]], at)
        at += LETTER * len(text)
        if said:
            is_error = lambda line: "rror: " in line
            lines = [[("e" if is_error(line) else "", part)] for line in said for part in wrapped(line)]
            group(lines, at)
        at += PAUSE
    width, height = 2 * LEFT + int(COLUMNS * 7.83), TOP + LINE * row
    return (f'<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img"><title>A session of the sqlite3 shell with a replica</title>'
            f"<style>{STYLE}</style>"
            f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>'
            '<circle cx="20" cy="16" r="5" fill="#ff5f57"/><circle cx="38" cy="16" r="5" fill="#febc2e"/>'
            '<circle cx="56" cy="16" r="5" fill="#28c840"/>'
            + "\n".join(groups) + "</svg>\n")


def main():
    library, target = sys.argv[1:]
    with Primary() as primary, tempfile.TemporaryDirectory() as folder:
        steps = record(library, Path(folder), primary.url)
    errors = [line for _, said in steps[:-1] for line in said if "rror: " in line]
    assert not errors, errors
    Path(target).write_text(draw(steps))
    print(f"{target}: {len(steps)} lines typed, {Path(target).stat().st_size} bytes")


if __name__ == "__main__":
    main()
