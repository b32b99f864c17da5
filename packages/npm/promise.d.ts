import type { AnyDatabase, AnyStatement, Arguments, BatchOptions, BatchResult, BatchStatement, Options, RunResult, Synced } from "./index.js";

export { Authorization, SqliteError } from "./index.js";
export declare function connect(path: string, options?: Options): Promise<Database>;

export interface Statement extends AnyStatement {}
export declare class Statement {
  run(...given: Arguments): Promise<RunResult>;
  get(...given: Arguments): Promise<unknown>;
  all(...given: Arguments): Promise<unknown[]>;
  iterate(...given: Arguments): Promise<IterableIterator<unknown> & AsyncIterable<unknown>>;
}

export interface Database extends AnyDatabase {}
export declare class Database {
  constructor(path: string, options?: Options);
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
  close(): void;
}
export default Database;
