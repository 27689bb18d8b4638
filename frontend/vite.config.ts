import { fileURLToPath } from 'node:url';

import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// The Go server that `npm run dev` forwards to; the mock server of dev/ listens
// on the same port, so that either can stand behind the dev server.
const backend = process.env.SLIPWAY_URL ?? 'http://127.0.0.1:8080';

// The Go package embeds dist/ and must compile before the app was ever built:
// the committed marker file survives a build that empties the directory.
const keepMarker = {
  name: 'keep-marker',
  generateBundle(this: { emitFile(file: { type: 'asset'; fileName: string; source: string }): void }) {
    this.emitFile({ type: 'asset', fileName: '.gitkeep', source: '' });
  },
};

export default defineConfig({
  base: '/monitoring/',
  plugins: [react(), keepMarker],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    // Nothing is inlined as data: URLs, so that "default-src 'self'" is enough.
    assetsInlineLimit: 0,
    // The polyfill is an inline-able helper for browsers older than this app supports.
    modulePreload: { polyfill: false },
    target: 'es2023',
    sourcemap: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'react', test: /node_modules\/(react|react-dom|scheduler)\// },
            { name: 'graphql', test: /node_modules\/(@apollo|graphql|graphql-ws|rxjs|optimism|@wry)\// },
          ],
        },
      },
    },
  },
  server: {
    port: 5173,
    // The tests hold the form against the server's own golden documents, and what is copied against its schema.
    fs: { allow: ['.', '../deploy/hostconfig/testdata', '../graph/schema'] },
    proxy: {
      '/api': backend,
      '/graphql': { target: backend, ws: true },
    },
  },
  test: {
    environment: 'happy-dom',
    setupFiles: ['src/test/setup.ts'],
    include: ['src/**/*.test.{ts,tsx}'],
    restoreMocks: true,
    // A machine that is busy with other things may take many times as long.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    css: { modules: { classNameStrategy: 'non-scoped' } },
  },
});
