// The loadable SQLite extension sqlite-replica, as an npm package.
const path = require("node:path");
const { existsSync } = require("node:fs");

// The library's path, for anything that loads extensions.
function getLoadablePath() {
  const name = { darwin: "replica.dylib", win32: "replica.dll" }[process.platform] ?? "replica.so";
  const library = path.join(__dirname, name);
  if (!existsSync(library)) {
    throw new Error(`sqlite-replica: this package has no library for ${process.platform}-${process.arch}`);
  }
  return library;
}

// Loads the extension into a database of better-sqlite3, or of node:sqlite
// that was opened with { allowExtension: true }.
function load(db) {
  db.loadExtension(getLoadablePath());
}

module.exports = { getLoadablePath, load };
