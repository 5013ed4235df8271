// Read for the build and again for the server: without its deployment id a server's pages do not know theirs.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

// Written by build.mjs.
const { build, deployment } = JSON.parse(readFileSync(join(import.meta.dirname, "build.json"), "utf8"));

export default {
  env: { BUILD: build, DEPLOYMENT: deployment ?? "" },
  generateBuildId: () => `build-${build}`,
  deploymentId: deployment,
  // The packages lie in the directory above.
  outputFileTracingRoot: dirname(import.meta.dirname),
  // Which files a deployment would need is more than half of the work, and nobody asks.
  outputFileTracingExcludes: { "**": ["**"] },
  images: { unoptimized: true },
  typescript: { ignoreBuildErrors: true },
  experimental: { cpus: 1 },
};
