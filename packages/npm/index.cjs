// The loadable SQLite extension sqlite-replica, as an npm package that also
// stands in for the package `libsql`.
"use strict";

const { Database } = require("./lib/database.cjs");
const { SqliteError } = require("./lib/error.cjs");
const { getLoadablePath, load } = require("./lib/library.cjs");

const Authorization = { ALLOW: 0, DENY: 1 };

module.exports = Database;
Object.assign(module.exports, { Database, SqliteError, Authorization, getLoadablePath, load, default: Database });
