// The same for `import`.
import Database from "./promise.cjs";

export const { connect, SqliteError, Authorization } = Database;
export { Database };
export default Database;
