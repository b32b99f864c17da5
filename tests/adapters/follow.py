"""The command `sqlite-replica follow` against a real sqld: follow.py COMMAND ...

The file is read by this process, without the extension.
"""

import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "hosts")]
import run as hosts  # noqa: E402  (the folder is no package)

COMMAND = sys.argv[1:]
# Seconds that nothing here should need.
PATIENCE = 90
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "packages" / "python")}


class Follow(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = f"{self.folder.name}/app.db"

    def start(self, url, *more):
        self.said = Path(self.folder.name, "said")
        with open(self.said, "w") as said:
            process = subprocess.Popen([*COMMAND, "follow", self.path, url, *more], env=ENVIRONMENT,
                                       stdout=said, stderr=subprocess.STDOUT)
        self.addCleanup(process.kill)
        return process

    def wait_until_said(self, text):
        for _ in range(20 * PATIENCE):
            if text in self.said.read_text():
                return
            time.sleep(0.05)
        self.fail(f"{text} is not in {self.said.read_text()}")

    def wait_for(self, sql, expected):
        found = None
        for _ in range(20 * PATIENCE):
            try:
                db = sqlite3.connect(self.path)
                found = db.execute(sql).fetchall()
                db.close()
                if found == expected:
                    return
            except sqlite3.Error as error:
                found = error
            time.sleep(0.05)
        self.fail(f"{found} is not {expected}")

    def test_it_follows_and_ends_cleanly(self):
        with hosts.Primary() as primary:
            process = self.start(primary.url)
            self.wait_for("SELECT item FROM orders", [("lantern",)])
            primary.execute("INSERT INTO orders(item) VALUES ('kite')")
            self.wait_for("SELECT count(*) FROM orders", [(2,)])
            self.wait_until_said("live, frame")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE), 0, self.said.read_text())
        self.assertEqual(sqlite3.connect(self.path).execute("PRAGMA integrity_check").fetchall(), [("ok",)])

    def test_it_follows_on_when_the_primary_comes_back(self):
        with hosts.Primary() as primary:
            process = self.start(primary.url)
            self.wait_for("SELECT item FROM orders", [("lantern",)])
            primary.stop()
            self.wait_until_said("(")  # The line of state names the error.
            primary.start()
            primary.execute("INSERT INTO orders(item) VALUES ('kite')")
            self.wait_for("SELECT count(*) FROM orders", [(2,)])
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE), 0, self.said.read_text())

    def test_a_terminal_sees_a_bar_and_one_line_that_is_written_over(self):
        with hosts.Primary() as primary:
            primary.execute("CREATE TABLE large(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
                            "INSERT INTO large SELECT randomblob(1000) FROM n")
            terminal, side = pty.openpty()
            process = subprocess.Popen([*COMMAND, "follow", self.path, primary.url], env=ENVIRONMENT, stdout=side, stderr=side)
            self.addCleanup(process.kill)
            os.close(side)
            said = b""
            while b"live, frame" not in said:
                said += os.read(terminal, 65536)
            process.send_signal(signal.SIGINT)
            try:
                while piece := os.read(terminal, 65536):
                    said += piece
            except OSError:
                pass  # The other side is closed.
            os.close(terminal)
            self.assertEqual(process.wait(PATIENCE), 0, said)
            self.assertRegex(said, rb"\r\x1b\[K\[[#.]{30}\] pull \d+/\d+ frames")
            self.assertRegex(said, rb"\r\x1b\[K\[#{30}\] \w+ (\d+)/\1 frames")
            self.assertEqual(said.count(b"\n"), 1, said)

    def test_it_waits_for_a_primary_that_is_not_there_yet(self):
        process = self.start("http://127.0.0.1:1", "--interval", "0.1")
        self.wait_until_said("again in 2 s")
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE), 0, self.said.read_text())

    def test_url_and_token_from_a_file(self):
        tokens = (ROOT / "tests" / "common" / "tokens.rs").read_text()
        key, token = (re.search(f'{name}: &str = "([^"]+)"', tokens).group(1) for name in ("PUBLIC_KEY", "READ_WRITE"))
        Path(self.folder.name, "key").write_text(key)
        with hosts.Primary("--auth-jwt-key-file", f"{self.folder.name}/key", token=token) as primary:
            file = Path(self.folder.name, "token")
            file.touch(0o600)
            file.write_text(f"{primary.url}\n{token}\n")
            process = subprocess.run([*COMMAND, "follow", self.path, "--token-file", file, "--once"], env=ENVIRONMENT,
                                     capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual((process.returncode, process.stderr if process.returncode else ""), (0, ""))
            self.wait_for("SELECT item FROM orders", [("lantern",)])

    def test_once_and_what_cannot_be_helped(self):
        with hosts.Primary() as primary:
            self.assertEqual(self.start(primary.url, "--once", "--quiet").wait(PATIENCE), 0, self.said.read_text())
            self.wait_for("SELECT item FROM orders", [("lantern",)])
            self.path = f"{self.folder.name}/mine.db"
            sqlite3.connect(self.path).execute("CREATE TABLE mine(x)")
            process = self.start(primary.url)
            self.assertEqual(process.wait(PATIENCE), 1)
            self.wait_until_said("holds data and is not a replica")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
