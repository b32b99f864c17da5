export * from "./promise.js";
export { Database as default } from "./promise.js";
