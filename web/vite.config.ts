import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// Every file gets a hashed name under /static/assets/, which gql/pages.py serves as immutable.
export default defineConfig({
  base: '/static/',
  plugins: [react()],
  build: {
    target: 'es2022',
    // Themes are written with light-dark(), which older browsers do not know and no tool can replace.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    manifest: 'manifest.json',
    outDir: 'dist',
    emptyOutDir: true,
    license: { fileName: 'licenses.md' },
    // The content security policy knows no inline scripts.
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 8_000,
    rollupOptions: {
      input: ['index.html', 'graphiql.html'],
      onLog(level, log, report) {
        // GraphiQL's own files carry hints to the React compiler, which has run before.
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') report(level, log);
      },
    },
  },
  worker: { format: 'es' },
});
