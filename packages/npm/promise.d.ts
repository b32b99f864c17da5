import type { Arguments, BatchOptions, BatchResult, BatchStatement, Column, Options, RunResult, Synced } from "./index.js";

export { Authorization, SqliteError } from "./index.js";
export declare function connect(path: string, options?: Options): Promise<Database>;

export declare class Statement {
  readonly source: string;
  readonly reader: boolean;
  run(...given: Arguments): Promise<RunResult>;
  get(...given: Arguments): Promise<unknown>;
  all(...given: Arguments): Promise<unknown[]>;
  iterate(...given: Arguments): Promise<IterableIterator<unknown> & AsyncIterable<unknown>>;
  columns(): Column[];
  raw(on?: boolean): this;
  pluck(on?: boolean): this;
  safeIntegers(on?: boolean): this;
  interrupt(): this;
}

export declare class Database {
  constructor(path: string, options?: Options);
  readonly name: string;
  readonly memory: boolean;
  readonly readonly: boolean;
  readonly open: boolean;
  readonly inTransaction: boolean;
  prepare(sql: string): Promise<Statement>;
  exec(sql: string): Promise<void>;
  run(sql: string, ...given: Arguments): Promise<RunResult>;
  get(sql: string, ...given: Arguments): Promise<unknown>;
  all(sql: string, ...given: Arguments): Promise<unknown[]>;
  iterate(sql: string, ...given: Arguments): Promise<IterableIterator<unknown> & AsyncIterable<unknown>>;
  batch(list: BatchStatement[], options?: BatchOptions): Promise<BatchResult[]>;
  pragma(source: string, options?: { simple?: boolean }): Promise<unknown>;
  transaction<A extends unknown[], R>(action: (...given: A) => Promise<R> | R): ((...given: A) => Promise<R>) & {
    deferred(...given: A): Promise<R>;
    immediate(...given: A): Promise<R>;
    exclusive(...given: A): Promise<R>;
  };
  sync(): Promise<Synced>;
  syncUntil(frameNo: number): Promise<{ frame_no: number }>;
  maxWriteReplicationIndex(): number | undefined;
  defaultSafeIntegers(on?: boolean): this;
  loadExtension(path: string): this;
  interrupt(): void;
  close(): void;
}
export default Database;
