// The same for `import`, also where a bundler has put it into one file.
import path from "node:path";
import { fileURLToPath } from "node:url";
import Database from "./index.cjs";
import library from "./lib/library.cjs";

// A bundle of another form than a module's has no such URL.
if (import.meta.url) library.addFolder(path.dirname(fileURLToPath(import.meta.url)));

export const { SqliteError, Authorization, getLoadablePath, load } = Database;
export { Database };
export default Database;
