// A real sqld for the tests of the npm package: the environment variable SQLD.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
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
  const server = spawn(process.env.SQLD, flags, { stdio: "ignore" });
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const ask = async (request) => {
    const body = JSON.stringify({ requests: [request, { type: "close" }] });
    const answer = await (await fetch(`http://${address}/v3/pipeline`, { method: "POST", body, headers })).json();
    if (answer.results[0].type !== "ok") throw new Error(JSON.stringify(answer.results[0]));
    return answer.results[0].response;
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
    stop() {
      server.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
  for (let tries = 0; ; tries++) {
    try {
      await primary.execute("SELECT 1");
      return primary;
    } catch (error) {
      if (tries > 400) throw error;
      await new Promise((later) => setTimeout(later, 50));
    }
  }
}
