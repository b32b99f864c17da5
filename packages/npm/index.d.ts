/** The library's path, for anything that loads extensions. */
export declare function getLoadablePath(): string;
/** Loads the extension into a database of better-sqlite3, or of node:sqlite opened with `allowExtension`. */
export declare function load(db: { loadExtension(path: string): void }): void;

export type Value = number | string | bigint | boolean | Uint8Array | ArrayBuffer | null | undefined;
/** Values one by one, as one array, or as an object of named ones. */
export type Arguments = Value[] | [Value[]] | [Record<string, Value>];

export interface Options {
  /** The primary; without it the database is an ordinary file. */
  syncUrl?: string;
  authToken?: string;
  /** Seconds between syncs of a background worker. */
  syncPeriod?: number;
  /** A write returns when the file holds it (default true). */
  readYourWrites?: boolean;
  namespace?: string;
  /** Where the primary cannot be reached, a write outside of a transaction is queued, and delivered by the next sync. */
  offline?: boolean;
  /** Further options of `replica_attach`, such as `{ live: true }`. */
  replica?: Record<string, unknown>;
  /** Milliseconds to wait for a local lock. */
  timeout?: number;
  readonly?: boolean;
  fileMustExist?: boolean;
  /** By default better-sqlite3 if it is installed, else node:sqlite. */
  binding?: "better-sqlite3" | "node:sqlite";
}

export interface RunResult {
  changes: number;
  lastInsertRowid: number | bigint;
}

export interface Column {
  name: string;
  column: string | null;
  table: string | null;
  database: string | null;
  type: string | null;
}

export interface Synced {
  frame_no: number | undefined;
  frames_synced: number;
}

export type TransactionOf<F extends (...given: any[]) => unknown> = F & { default: F; deferred: F; immediate: F; exclusive: F };

export interface BatchResult {
  columns: string[];
  columnTypes: string[];
  rows: unknown[];
  rowsAffected: number;
}
export type BatchStatement = string | { sql: string; args?: Value[] | Record<string, Value> };
export type BatchOptions = string | { mode?: string; raw?: boolean };

/** What a statement has in the promise form too. */
export interface AnyStatement {
  readonly source: string;
  /** It returns rows. */
  readonly reader: boolean;
  columns(): Column[];
  raw(on?: boolean): this;
  pluck(on?: boolean): this;
  safeIntegers(on?: boolean): this;
  /** What its iterators have left: their next row is an error with the code SQLITE_INTERRUPT. */
  interrupt(): this;
}

export interface Statement extends AnyStatement {}
export declare class Statement {
  readonly database: Database;
  readonly readonly: boolean;
  run(...given: Arguments): RunResult;
  get(...given: Arguments): unknown;
  all(...given: Arguments): unknown[];
  iterate(...given: Arguments): IterableIterator<unknown>;
}

/** What a database has in the promise form too. */
export interface AnyDatabase {
  readonly name: string;
  readonly memory: boolean;
  readonly readonly: boolean;
  readonly open: boolean;
  readonly inTransaction: boolean;
  maxWriteReplicationIndex(): number | undefined;
  defaultSafeIntegers(on?: boolean): this;
  loadExtension(path: string): this;
  /** What all iterators have left. */
  interrupt(): void;
}

export interface Database extends AnyDatabase {}
export declare class Database {
  constructor(path: string, options?: Options);
  prepare(sql: string): Statement;
  exec(sql: string): this;
  pragma(source: string, options?: { simple?: boolean }): unknown;
  transaction<F extends (...given: any[]) => unknown>(action: F): TransactionOf<F>;
  batch(list: BatchStatement[], options?: BatchOptions): BatchResult[];
  /** Pulls what changed on the primary. */
  sync(): Synced;
  syncUntil(frameNo: number): { frame_no: number };
  function(name: string, options: object, action: (...values: any[]) => unknown): this;
  close(): this;
}

export declare class SqliteError extends Error {
  code: string;
  rawCode?: number;
}
export declare const Authorization: { readonly ALLOW: 0; readonly DENY: 1 };
export default Database;
