// What a statement is, told from its first words: enough to know where it runs.
// Pure text; SQLite's grammar is not parsed.
"use strict";

const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\s+|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]]*\]?|\?\d*|[:@#][\w\u0080-\uffff]+|\$[\w\u0080-\uffff]+(?:::\w+)*(?:\([^)]*\))?|[\w$\u0080-\uffff]+|[\s\S]/g;

const allTokens = (sql) => sql.match(TOKEN) ?? [];
const isSpace = (token) => /^(?:\s|--|\/\*)/.test(token);
const tokens = (sql) => allTokens(sql).filter((token) => !isSpace(token));

const KINDS = {
  SELECT: "read", VALUES: "read", EXPLAIN: "read", PRAGMA: "pragma", ATTACH: "local", DETACH: "local",
  INSERT: "write", REPLACE: "write", UPDATE: "write", DELETE: "write",
  BEGIN: "begin", COMMIT: "commit", END: "commit", ROLLBACK: "rollback", SAVEPOINT: "savepoint", RELEASE: "release",
};
// Statements that begin and end transactions.
const CONTROL = new Set(["begin", "commit", "rollback", "savepoint", "release", "rollback to"]);
// Words that stand between a verb and the name of what it changes.
const BEFORE_NAME = new Set(
  ("INSERT REPLACE UPDATE DELETE OR ABORT FAIL IGNORE ROLLBACK INTO FROM CREATE DROP ALTER UNIQUE VIRTUAL TABLE VIEW " +
    "INDEX TRIGGER IF NOT EXISTS").split(" "),
);

function unquoted(name) {
  const closing = { '"': '"', "`": "`", "[": "]", "'": "'" }[name?.[0]];
  return closing ? name.slice(1, -1).replaceAll(closing + closing, closing) : name;
}
const quoted = (name) => `"${name.replaceAll('"', '""')}"`;

function qualified(words) {
  return words[1] === "." ? { schema: unquoted(words[0]).toLowerCase(), name: unquoted(words[2]) } : { name: unquoted(words[0]) };
}

function mainVerb(upper) {
  let depth = 0;
  return upper.findIndex((word) => {
    depth += (word === "(") - (word === ")");
    return depth === 0 && /^(?:SELECT|VALUES|INSERT|REPLACE|UPDATE|DELETE)$/.test(word);
  });
}

// { kind, verb, schema?, name?, returns, aboutReplica } of the first statement.
function classify(sql) {
  let words = tokens(sql);
  while (words[0] === ";") words = words.slice(1);
  let upper = words.map((word) => word.toUpperCase());
  const aboutReplica = upper.some((word) => word.startsWith("REPLICA_"));
  const returns = upper.includes("RETURNING");
  if (upper[0] === "WITH") {
    const at = mainVerb(upper);
    words = at < 0 ? ["SELECT"] : words.slice(at);
    upper = words.map((word) => word.toUpperCase());
  }
  const verb = upper[0] ?? "";
  let kind = KINDS[verb] ?? (verb === "" ? "read" : "schema");
  const last = words.at(-1) === ";" ? words.at(-2) : words.at(-1);
  if (kind === "begin") {
    const mode = ["IMMEDIATE", "EXCLUSIVE", "READONLY"].find((word) => upper.includes(word)) ?? "DEFERRED";
    return { kind, verb, name: mode, returns: false };
  }
  if (kind === "rollback" && upper.includes("TO")) kind = "rollback to";
  if (kind === "savepoint" || kind === "release" || kind === "rollback to") {
    return { kind, verb, name: unquoted(last).toLowerCase(), returns: false };
  }
  const temporary = verb === "CREATE" && /^TEMP(?:ORARY)?$/.test(upper[1] ?? "");
  if (temporary || (verb === "VACUUM" && upper.includes("INTO"))) return { kind: "local", verb, returns: false };
  if (kind === "pragma") {
    const { schema, name = "" } = qualified(words.slice(1));
    const written = /^(?:user_version|application_id)$/i.test(name) && words.some((word) => word === "=" || word === "(");
    const value = words.some((word) => word === "=" || word === "(") ? unquoted(last === ")" ? upper[upper.lastIndexOf(")") - 1] : last.toUpperCase()) : undefined;
    return { kind: written ? "schema" : kind, verb, schema, name: name.toLowerCase(), value, returns: true };
  }
  if (kind === "write" || kind === "schema") {
    const at = upper.findIndex((word) => !BEFORE_NAME.has(word));
    return { kind, verb, ...qualified(at < 0 ? [] : words.slice(at)), returns };
  }
  return { kind, verb, returns: kind === "read", aboutReplica };
}

// Each token with the number of the parameter that it is, from 1 on, or 0.
function numbered(sql) {
  const known = new Map();
  let last = 0;
  return allTokens(sql).map((token) => {
    let number = 0;
    if (token[0] === "?") number = token.length > 1 ? Number(token.slice(1)) : last + 1;
    else if (/^[:@$#]./.test(token)) {
      number = known.get(token) ?? last + 1;
      known.set(token, number);
    }
    last = Math.max(last, number);
    return { token, number };
  });
}

// By number: a parameter's name without its mark (that of ?5 is "5"), or null for a bare ?.
function parameters(sql) {
  const names = [];
  for (const { token, number } of numbered(sql)) {
    if (!number) continue;
    while (names.length < number) names.push(null);
    names[number - 1] ??= token.slice(1) || null;
  }
  return names;
}

// UPDATE and DELETE with a LIMIT, which only a SQLite that was built for it reads, as the one that
// it takes them for: WHERE _rowid_ IN (SELECT ... LIMIT ...). Every other text as it is.
function withoutLimit(sql) {
  if (!/limit/i.test(sql)) return sql;
  const { verb } = classify(sql);
  const list = numbered(sql).map(({ token, number }) => ({ text: token.startsWith("--") ? " " : token, number }));
  const words = list.map(({ text }) => text.toUpperCase());
  const places = {};
  let depth = 0;
  words.forEach((word, at) => {
    depth += (word === "(") - (word === ")");
    if (depth === 0 && /^(?:UPDATE|OR|FROM|SET|WHERE|RETURNING|ORDER|LIMIT)$/.test(word)) places[word] ??= at;
  });
  const { UPDATE, OR, FROM, SET, WHERE, RETURNING, ORDER, LIMIT } = places;
  if (LIMIT === undefined || (verb === "UPDATE" ? SET === undefined || FROM !== undefined : verb !== "DELETE" || FROM === undefined)) return sql;
  const end = words.findLastIndex((word) => !isSpace(word) && word !== ";") + 1;
  const tail = Math.min(ORDER ?? LIMIT, LIMIT);
  const part = (from, to) => list.slice(from, to).map(({ text, number }) => (number ? `?${number}` : text)).join("");
  const returning = RETURNING ?? tail;
  const where = WHERE ?? returning;
  const afterOr = OR < SET ? words.findIndex((word, at) => at > OR && !isSpace(word)) : UPDATE;
  const table = verb === "DELETE" ? part(FROM + 1, where) : part(afterOr + 1, SET);
  return `${part(0, where)} WHERE _rowid_ IN (SELECT _rowid_ FROM ${table} ${part(where, returning)} ${part(tail, end)}) ${part(returning, tail)}`;
}

module.exports = { CONTROL, classify, numbered, parameters, quoted, withoutLimit };
