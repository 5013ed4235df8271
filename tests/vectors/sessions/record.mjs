import { betterAuthLines } from "./better-auth.mjs";
import { authjsLines } from "./authjs.mjs";

// better-auth logs each cookie it refuses.
console.log = console.warn = console.error = () => {};

await betterAuthLines();
await authjsLines();
