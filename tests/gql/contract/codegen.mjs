export default {
  schema: "schema.graphql",
  documents: "operations.graphql",
  generates: {
    "generated/": {
      preset: "client",
      presetConfig: { fragmentMasking: false },
      config: {
        strictScalars: true,
        scalars: { DateTime: "string", Decimal: "string", JSON: "unknown" },
        useTypeImports: true,
      },
    },
  },
};
