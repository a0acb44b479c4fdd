/**
 * Marks a document for relay-compiler, which reads the source and writes the artifact that is imported beside it.
 * Nothing is left to do when the program runs. Where a bundler has Relay's plugin (Babel, SWC, Vite), use the tag of
 * relay-runtime instead: the plugin puts the artifact in its place.
 */
export const graphql = (_document: TemplateStringsArray): void => undefined;
