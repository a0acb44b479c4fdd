import type { CodegenConfig } from '@graphql-codegen/cli';

const client = {
  preset: 'client',
  presetConfig: { fragmentMasking: false },
  config: {
    useTypeImports: true,
    enumsAsTypes: true,
    strictScalars: true,
    immutableTypes: true,
    scalars: { DateTime: 'string', Decimal: 'string', JSON: 'unknown' },
  },
} as const;

// Typed documents of the pages' operations, checked against the schema that the server prints; those of GraphiQL and its
// examples apart, since they have names of their own.
const config: CodegenConfig = {
  schema: '../schema.graphql',
  generates: {
    'src/app/generated/': { ...client, documents: 'src/app/**/*.graphql' },
    'src/app/generated/graphiql/': { ...client, documents: ['src/examples/*.graphql', 'src/opening.graphql'] },
  },
};

export default config;
