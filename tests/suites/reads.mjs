// What a point SELECT costs through the npm class, beside its bare binding: reads.mjs FOLDER BINDING.
import { createRequire } from "node:module";
import path from "node:path";
import { folderWith, startPrimary } from "../adapters/primary.mjs";

const [, , installed, binding] = process.argv;
const require = createRequire(path.join(folderWith(path.resolve(installed), ["sqlite-replica"]), "package.json"));
const Database = require("sqlite-replica");
const primary = await startPrimary();
await primary.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT); INSERT INTO orders VALUES (7, 'lantern'), (2, 'kite')");
const file = path.join(primary.folder, "app.db");
const replica = new Database(file, { syncUrl: primary.url, binding });
const bare = binding === "node:sqlite" ? new (require("node:sqlite").DatabaseSync)(file) : new (require("better-sqlite3"))(file);
const [ROUNDS, TIMES] = [60, 10000];
const seconds = (statement) => {
  const started = process.hrtime.bigint();
  for (let number = 0; number < TIMES; number++) statement.get(number % 7);
  return Number(process.hrtime.bigint() - started) / 1e9 / TIMES;
};
const both = [bare, replica].map((db) => db.prepare("SELECT item FROM orders WHERE id = ?"));
const found = Array.from({ length: ROUNDS }, () => both.map(seconds));
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
const [one, two] = [0, 1].map((at) => median(found.map((round) => round[at])) * 1e6);
console.log(`bare ${one.toFixed(2)} us, adapter ${two.toFixed(2)} us, ratio ${median(found.map(([a, b]) => b / a)).toFixed(3)}`);
replica.close();
primary.stop();
process.exit(0);
