// Values on their way: what the caller gives to a statement, and what the extension's JSON gives back.
"use strict";

const { SqliteError } = require("./error.cjs");
const { parameters } = require("./sql.cjs");

function storable(value) {
  switch (typeof value) {
    case "number":
    case "string":
    case "bigint":
      return value;
    case "boolean":
      return value ? 1 : 0;
    case "undefined":
      return null;
  }
  if (value === null || Buffer.isBuffer(value)) return value;
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return Buffer.from(value);
  throw new TypeError("SQLite3 can only bind numbers, strings, bigints, buffers, and null");
}

const isPlain = (value) =>
  value !== null && typeof value === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(value));

function refuseQueryTimeout(milliseconds) {
  if (!milliseconds) return;
  throw new SqliteError("queryTimeout: a call keeps its thread until SQLite has answered, and neither binding for Node can be " +
    "interrupted meanwhile; leave it out, or run the query in a worker thread that can be terminated", "SQLITE_MISUSE");
}

// libsql takes { queryTimeout } behind the values of a statement.
function withoutOptions(given, sql) {
  const last = given.at(-1);
  if (!isPlain(last) || !Object.hasOwn(last, "queryTimeout") || parameters(sql).includes("queryTimeout")) return given;
  refuseQueryTimeout(last.queryTimeout);
  return given.slice(0, -1);
}

// What run(), get() and all() were given, as a list by the parameters' numbers: values and
// lists of them for the bare ones, an object for those with names.
function positioned(sql, given) {
  const list = given.flatMap((each) => (isPlain(each) || each === undefined ? [] : Array.isArray(each) ? each : [each])).map(storable);
  const named = given.findLast(isPlain);
  const names = parameters(sql);
  if (named === undefined) return counted(list, names.length);
  let at = 0;
  const values = names.map((name, number) => {
    if (name === null) return list[at++];
    const key = name in named ? name : String(number + 1);
    if (!(key in named)) throw new RangeError(`Missing named parameter "${name}"`);
    return storable(named[key]);
  });
  counted(list, at);
  return values;
}

function counted(list, wanted) {
  if (list.length < wanted) throw new RangeError("Too few parameter values were provided");
  if (list.length > wanted) throw new RangeError("Too many parameter values were provided");
  return list;
}

// JSON of the extension, in which integers have all 64 bits: `safe` makes each a
// bigint, and otherwise they are rounded as the bindings round them.
function parse(text, safe) {
  if (!safe) return JSON.parse(text);
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) =>
    /^-?\d+$/.test(token) ? `{"integer":"${token}"}` : token,
  );
  return JSON.parse(marked);
}

// A list of values as the extension reads it. Numbers are reals, as the bindings
// bind them; a bigint is an integer.
function asJson(values) {
  const one = (value) => {
    if (typeof value === "bigint") return String(value);
    if (value === Infinity || value === -Infinity) throw new RangeError("JSON has no infinity, and a batch or more than 126 arguments go as JSON");
    if (typeof value === "number") return Number.isInteger(value) && !/e/.test(value) ? `${value}.0` : JSON.stringify(value);
    return JSON.stringify(Buffer.isBuffer(value) ? { base64: value.toString("base64") } : value);
  };
  return `[${values.map(one).join(",")}]`;
}

function cell(value) {
  if (value === null || typeof value !== "object") return value;
  if ("integer" in value) return BigInt(value.integer);
  // A memory of its own: Buffer.from(base64) may lie in Node's pool, and callers hand out `.buffer`.
  const bytes = Buffer.from(value.base64, "base64");
  return Buffer.from(new Uint8Array(bytes).buffer);
}

module.exports = { asJson, cell, parse, positioned, refuseQueryTimeout, withoutOptions };
