// A real sqld for the tests of the npm package: the environment variable SQLD.
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

// The keys and tokens of the Rust tests.
const tokens = readFileSync(new URL("../common/tokens.rs", import.meta.url), "utf8");
const constant = (name) => tokens.match(new RegExp(`${name}: &str = "([^"]+)"`))[1];
export const READ_WRITE = constant("READ_WRITE");

const freePort = () =>
  new Promise((found) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });

export async function startPrimary({ token } = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), "replica-npm-"));
  const address = `127.0.0.1:${await freePort()}`;
  const flags = ["--db-path", path.join(folder, "primary"), "--http-listen-addr", address, "--no-welcome"];
  if (token) {
    writeFileSync(path.join(folder, "key"), constant("PUBLIC_KEY"));
    flags.push("--auth-jwt-key-file", path.join(folder, "key"));
  }
  const start = () => spawn(process.env.SQLD, flags, { stdio: "ignore" });
  let server = start();
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const ask = async (request) => {
    const body = JSON.stringify({ requests: [request, { type: "close" }] });
    const answer = await (await fetch(`http://${address}/v3/pipeline`, { method: "POST", body, headers })).json();
    if (answer.results[0].type !== "ok") throw new Error(JSON.stringify(answer.results[0]));
    return answer.results[0].response;
  };
  const answers = async () => {
    for (let tries = 0; ; tries++) {
      try {
        return await primary.execute("SELECT 1");
      } catch (error) {
        if (tries > 400) throw error;
        // Somebody else took the port in the meantime, or left it just now.
        if (server.exitCode !== null) server = start();
        await new Promise((later) => setTimeout(later, 50));
      }
    }
  };
  const primary = {
    folder,
    url: `http://${address}`,
    execute: (sql) => ask({ type: "sequence", sql }),
    // What the primary itself answers: the oracle of these tests.
    rows: async (sql) =>
      (await ask({ type: "execute", stmt: { sql } })).result.rows.map((row) =>
        row.map((cell) => (cell.type === "integer" ? BigInt(cell.value) : (cell.value ?? null))),
      ),
    // As a service manager stops it: its log is whole afterwards.
    async leave() {
      const gone = new Promise((done) => server.once("exit", done));
      server.kill("SIGTERM");
      await gone;
    },
    async comeBack() {
      server = start();
      await answers();
    },
    stop() {
      server.kill("SIGKILL");
      // It may have a file open for a moment yet.
      rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
  await answers();
  return primary;
}

// A folder of this run's own whose node_modules are those of `installed`, with the
// sources under test in the place of `names`: another run may be using theirs.
export function folderWith(installed, names) {
  const folder = mkdtempSync(path.join(tmpdir(), "replica-modules-"));
  const modules = path.join(folder, "node_modules");
  // Packages that import one of `names` find it beside themselves, so they lie here; all others are linked.
  const importing = new Set(["@libsql/client", "drizzle-orm"]);
  const take = (name) => {
    if (name.startsWith("@") && !name.includes("/")) {
      mkdirSync(path.join(modules, name), { recursive: true });
      for (const inner of readdirSync(path.join(installed, "node_modules", name))) take(`${name}/${inner}`);
    } else if (importing.has(name)) cpSync(path.join(installed, "node_modules", name), path.join(modules, name), { recursive: true });
    else if (!names.includes(name)) symlinkSync(path.join(installed, "node_modules", name), path.join(modules, name));
  };
  mkdirSync(modules);
  for (const name of readdirSync(path.join(installed, "node_modules"))) if (!name.startsWith(".")) take(name);
  for (const name of names) cpSync(new URL("../../packages/npm", import.meta.url), path.join(modules, name), { recursive: true });
  writeFileSync(path.join(folder, "package.json"), "{}");
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

// A way to `url` that counts the requests that go through it.
export async function countingWayTo(url) {
  const { hostname, port } = new URL(url);
  const way = { count: 0 };
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("error", () => to.destroy()).on("close", () => to.destroy());
      from.pipe(to);
    }
    near.on("data", (piece) => (way.count += piece.toString("latin1").split(/ HTTP\/1\.1\r\n/).length - 1));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  way.url = `http://127.0.0.1:${server.address().port}`;
  way.stop = () => server.close().closeAllConnections?.();
  server.unref();
  return way;
}
