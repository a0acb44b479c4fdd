import type { CodegenConfig } from "@graphql-codegen/cli";

// Your own copy of the schema: `anabranch schema > schema.graphql`.
const config: CodegenConfig = {
  schema: process.env["SCHEMA"] ?? "../../../schema.graphql",
  documents: "operations.graphql",
  generates: {
    "generated/operations.ts": {
      plugins: ["typescript-operations", "typed-document-node"],
      config: {
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true,
        scalars: { DateTime: "string", Decimal: "string", JSON: "unknown" },
      },
    },
    "generated/possible-types.ts": { plugins: ["fragment-matcher"] },
  },
};

export default config;
