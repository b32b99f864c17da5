// Where the extension's library is, and how it gets into a connection.
"use strict";

// Bundlers to ES modules leave no `require` for what is built in.
const builtin = (name) => (process.getBuiltinModule ? process.getBuiltinModule(name) : require(name));
const path = builtin("node:path");
const { existsSync } = builtin("node:fs");

// The package's own folder. In a bundle there is either no __dirname, and the
// entry says where it is, or it is the folder of the bundle.
const folders = typeof __dirname === "undefined" ? [] : [path.dirname(__dirname), __dirname];

function addFolder(place) {
  if (!folders.includes(place)) folders.push(place);
}

// The package that npm has chosen for this machine, beside this one.
function packageOfPlatform() {
  const isMusl = () => !process.report?.getReport().header.glibcVersionRuntime;
  const libc = process.platform === "linux" ? (isMusl() ? "-musl" : "-gnu") : "";
  return `sqlite-replica-${process.platform}-${process.arch}${libc}`;
}

function folderOfPlatform() {
  // Where a bundler has left no `require`, the folders above are all there is.
  if (typeof require === "undefined" || !require.resolve) return [];
  const name = packageOfPlatform();
  try {
    return [path.dirname(require.resolve(`${name}/package.json`))];
  } catch {
    return [];
  }
}

// The library's path, for anything that loads extensions.
function getLoadablePath() {
  if (process.env.SQLITE_REPLICA_PATH) return process.env.SQLITE_REPLICA_PATH;
  const name = { darwin: "replica.dylib", win32: "replica.dll" }[process.platform] ?? "replica.so";
  for (const folder of [...folders, ...folderOfPlatform()]) {
    // Electron packs files into an archive that only its own `fs` can read; a library must lie beside it.
    for (const place of [folder.replace(/\bapp\.asar(?=[\\/]|$)/, "app.asar.unpacked"), folder]) {
      if (existsSync(path.join(place, name))) return path.join(place, name);
    }
  }
  throw new Error(
    `sqlite-replica: ${name} is not in ${folders[0]}: if this program is bundled, mark sqlite-replica as external or copy ` +
      `${name} there (Electron: asarUnpack), or set SQLITE_REPLICA_PATH; if it was installed with --omit=optional or on another machine, install it again here ` +
      `(${packageOfPlatform()} is the package with the library; where npm has none, build it with make)`,
  );
}

// Loads the extension into a database of better-sqlite3, or of node:sqlite
// that was opened with { allowExtension: true }.
function load(db) {
  db.loadExtension(getLoadablePath());
}

module.exports = { addFolder, builtin, getLoadablePath, load };
