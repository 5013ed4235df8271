// BUILD names the build; NEXT_DEPLOYMENT_ID, which Next.js reads itself, gives it a deployment id. See build.mjs.

import { dirname } from "node:path";

export default {
  env: { BUILD: process.env.BUILD, DEPLOYMENT: process.env.NEXT_DEPLOYMENT_ID ?? "" },
  generateBuildId: () => `build-${process.env.BUILD}`,
  // The packages lie in the directory above.
  outputFileTracingRoot: dirname(import.meta.dirname),
  // Which files a deployment would need is more than half of the work, and nobody asks.
  outputFileTracingExcludes: { "**": ["**"] },
  images: { unoptimized: true },
  typescript: { ignoreBuildErrors: true },
  experimental: { cpus: 1 },
};
