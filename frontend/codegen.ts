import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  // The server's own schema is the only source; SLIPWAY_SCHEMA points elsewhere
  // when a change to it is tried out.
  schema: process.env.SLIPWAY_SCHEMA ?? '../graph/schema/*.graphqls',
  documents: ['src/gql/operations/*.graphql'],
  generates: {
    'src/gql/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        enumType: 'string-literal',
        useTypeImports: true,
        scalars: {
          Time: 'string',
          Duration: 'number',
          ByteSize: 'number',
          Cursor: 'string',
          IPAddress: 'string',
          MACAddress: 'string',
          JSON: 'unknown',
          JSONObject: 'Record<string, unknown>',
        },
      },
    },
  },
};

export default config;
