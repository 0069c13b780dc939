// How the web app is built: one light bundle for browsing, separate ones for the player, Shaka Player and the console.
import { defineConfig } from "vitest/config";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    // Fonts and pictures are never inlined as data: addresses, so that the gateway's policy can stay at 'self'.
    assetsInlineLimit: 0,
    // The polyfill is an inline script's cousin that no supported browser needs.
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
  },
  server: {
    proxy: { "/api": { target: "http://127.0.0.1:8080", changeOrigin: false } },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
