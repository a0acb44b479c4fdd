// What is turned off is argued in docs/adr/0041-what-the-linters-may-not-ask.md.
import graphql from "@graphql-eslint/eslint-plugin";

const schema = { ...graphql.configs["flat/schema-recommended"].rules, ...graphql.configs["flat/schema-relay"].rules };
const operations = graphql.configs["flat/operations-recommended"].rules;
const config = (file, rules) => ({
  files: [file],
  languageOptions: {
    parser: graphql.parser,
    parserOptions: { graphQLConfig: { schema: "schema.graphql", documents: "operations.graphql" } },
  },
  plugins: { "@graphql-eslint": graphql },
  rules,
});

export default [
  config("schema.graphql", {
    ...schema,
    "@graphql-eslint/strict-id-in-types": "off",
    "@graphql-eslint/relay-edge-types": ["error", { listTypeCanWrapOnlyEdgeType: false }],
  }),
  config("operations.graphql", operations),
];
