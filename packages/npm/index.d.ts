/** The library's path, for anything that loads extensions. */
export function getLoadablePath(): string;
/** Loads the extension into a database of better-sqlite3, or of node:sqlite opened with `allowExtension`. */
export function load(db: { loadExtension(path: string): void }): void;
