// Turso's own client for JavaScript (@tursodatabase/sync) against a server: it
// replicates what is there, sees what changes, and writes through it.
//
//     node oracle.mjs URL FOLDER PACKAGES

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [url, folder, packages] = process.argv.slice(2);
const find = createRequire(pathToFileURL(`${packages}/node_modules/`));
const { connect } = await import(pathToFileURL(find.resolve("@tursodatabase/sync")));

const db = await connect({ path: `${folder}/oracle-js.db`, url, longPollTimeoutMs: 200 });
const row = async (sql) => Object.values(await (await db.prepare(sql)).get());

console.log("bootstrap", await row("SELECT count(*), sum(id) FROM t"));
await db.exec("INSERT INTO t(x) VALUES ('from javascript')");
await db.push();
console.log("pulled", await db.pull());
console.log("again", await db.pull());
console.log("rows", await row("SELECT count(*) FROM t WHERE x = 'from javascript'"));
await fetch(`${url}/_/generation`, { method: "POST" });
await db.exec("INSERT INTO t(x) VALUES ('of another generation')");
await db.push();
console.log("pulled", await db.pull());
console.log("rows", await row("SELECT count(*) FROM t WHERE x = 'of another generation'"));
await db.close();
