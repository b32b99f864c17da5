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
  const names = parameters(sql);
  const named = given.findLast(isPlain);
  const wanted = named === undefined ? names.length : names.filter((name) => name === null).length;
  const flat = (values) => values.flatMap((each) => (isPlain(each) ? [] : Array.isArray(each) ? each : [each]));
  let list = flat(given);
  // undefined is a NULL, or says that there is nothing.
  if (list.length > wanted) list = flat(given.filter((each) => each !== undefined));
  list = counted(list, wanted).map(storable);
  if (named === undefined) return list;
  let at = 0;
  return names.map((name, number) => {
    if (name === null) return list[at++];
    const key = name in named ? name : String(number + 1);
    if (!(key in named)) throw new RangeError(`Missing named parameter "${name}"`);
    return storable(named[key]);
  });
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
    if (typeof value === "bigint") {
      // JSON would make a real of it.
      if (BigInt.asIntN(64, value) !== value) throw new RangeError("The bound string, buffer, or bigint is too big");
      return String(value);
    }
    // Half a character becomes the mark that the bindings write for it.
    if (typeof value === "string") return JSON.stringify(value.toWellFormed?.() ?? value);
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
