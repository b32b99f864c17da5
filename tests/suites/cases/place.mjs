// Where the cases of a suite run: place.mjs is told FOLDER and "baseline" or "replica".
// The baseline is the published package on a plain file; a replica is the package under
// test in its place, on a file that follows a sqld of its own.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { folderWith, startPrimary } from "../../adapters/primary.mjs";

export { assert, test };
export const isReplica = process.argv[3] === "replica";
const folder = isReplica ? folderWith(path.resolve(process.argv[2]), ["libsql", "sqlite-replica"]) : path.resolve(process.argv[2]);
export const require = createRequire(path.join(folder, "package.json"));
export const load = (name) => import(pathToFileURL(require.resolve(name)));

const primary = isReplica ? await startPrimary() : undefined;
const files = mkdtempSync(path.join(tmpdir(), "replica-cases-"));
test.after(() => {
  primary?.stop();
  rmSync(files, { recursive: true, force: true });
});
let number = 0;
export const newFile = () => path.join(files, `app${number++}.db`);
export const syncUrl = primary?.url;

// What a promise, or a call, throws; a call that throws nothing is the failure.
export async function thrown(action) {
  try {
    await action();
  } catch (error) {
    return error;
  }
  assert.fail("nothing was thrown");
}
