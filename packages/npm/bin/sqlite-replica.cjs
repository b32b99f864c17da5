#!/usr/bin/env node
// The command of the npm package: where the library is, and `follow`, which
// keeps a file a fresh replica for programs that cannot load extensions.
"use strict";

const { parseArgs } = require("node:util");
const { readFileSync } = require("node:fs");
const { Database, getLoadablePath } = require("../index.cjs");

const USAGE = `sqlite-replica [path]             prints where the library is
sqlite-replica follow FILE [URL]  keeps FILE a fresh replica of URL, or of REPLICA_URL

  --token-file FILE   a file with the URL and the token, a line each; otherwise REPLICA_TOKEN
  --namespace NAME    database on a primary with several
  --interval SECONDS  seconds between syncs, instead of a live stream
  --once              sync once and end
  --quiet             say nothing but errors`;
// Worth trying again: not reached, busy. Everything else wants a person.
const PASSING = new Set(["SQLITE_BUSY", "SQLITE_CANTOPEN"]);

function options() {
  const text = { type: "string" };
  const flag = { type: "boolean", default: false };
  const known = { "token-file": text, namespace: text, interval: text, once: flag, quiet: flag, help: flag };
  return parseArgs({ options: known, allowPositionals: true });
}

let last;
function show(text, isQuiet) {
  if (isQuiet || text === last) return;
  last = text;
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

function lineOf({ state, frame_no, lag_frames, last_error }) {
  const behind = lag_frames ? `, ${lag_frames} behind` : "";
  return `${state}, frame ${frame_no}${behind}${last_error ? ` (${last_error})` : ""}`;
}

async function follow(file, url, given) {
  const tokenFile = given["token-file"];
  const syncUrl = url || process.env.REPLICA_URL || (tokenFile && readFileSync(tokenFile, "utf8").split("\n")[0].trim());
  if (!syncUrl) throw new Error("which primary? give its URL, or set REPLICA_URL");
  const known = tokenFile ? { token_file: tokenFile } : {};
  const open = (replica) => new Database(file, { syncUrl, namespace: given.namespace, replica: { ...known, ...replica } });
  const isStopped = { now: false, wake: () => {} };
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => {
      isStopped.now = true;
      isStopped.wake();
    });
  }
  const pause = (seconds) =>
    new Promise((done) => {
      const timer = setTimeout(done, seconds * 1000);
      isStopped.wake = () => (clearTimeout(timer), done());
    });

  for (let wait = 1; !isStopped.now; ) {
    let db;
    try {
      db = open({ first_sync: false });
      for (const row of db.prepare("SELECT phase, frames_done, frames_total, percent FROM replica_sync_progress").iterate()) {
        const bar = "#".repeat(0.3 * (row.percent ?? 0)).padEnd(30, ".");
        if (process.stderr.isTTY) show(`[${bar}] ${row.phase} ${row.frames_done ?? 0}/${row.frames_total ?? "?"} frames`, given.quiet);
      }
      db.close();
      if (given.once) return;
      db = open(given.interval ? { sync_interval: Number(given.interval) } : { live: true });
      while (!isStopped.now) {
        show(lineOf(JSON.parse(db.prepare("SELECT replica_status()").pluck().get())), given.quiet);
        await pause(1);
      }
    } catch (error) {
      if (!PASSING.has(error.code) || given.once) throw error;
      show(`${error.message}; again in ${wait} s`, given.quiet);
      await pause(wait);
      wait = Math.min(wait * 2, 30);
    } finally {
      db?.close();
    }
  }
}

async function main() {
  const { values, positionals } = options();
  const [command = "path", file, url] = positionals;
  if (values.help || !["path", "follow"].includes(command) || (command === "follow" && file === undefined)) {
    console.error(USAGE);
    return values.help ? 0 : 2;
  }
  if (command === "path") console.log(getLoadablePath());
  else await follow(file, url, values);
  if (process.stderr.isTTY && last !== undefined) process.stderr.write("\n");
  return 0;
}

main().then(
  (code) => (process.exitCode = code),
  (error) => {
    console.error(`sqlite-replica: ${error.message}`);
    process.exitCode = 1;
  },
);
