export * from "./index.js";
export { Database as default } from "./index.js";
