import type { CodegenConfig } from '@graphql-codegen/cli';

// Typed documents of the pages' operations, checked against the schema that the server prints.
const config: CodegenConfig = {
  schema: '../schema.graphql',
  documents: 'src/app/**/*.graphql',
  generates: {
    'src/app/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true,
        immutableTypes: true,
        scalars: { DateTime: 'string', Decimal: 'string', JSON: 'unknown' },
      },
    },
  },
};

export default config;
