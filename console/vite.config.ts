import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// The program serves what stands in outDir; nothing is fetched from anywhere else at run time.
export default defineConfig({
  plugins: [svelte()],
  base: "/",
  build: {
    outDir: process.env.SAFECITY_CONSOLE_OUT ?? "../src/safecity/web/static",
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1600,
  },
  worker: { format: "es" },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
