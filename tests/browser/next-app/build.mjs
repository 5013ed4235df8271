// Builds the application four times: versions a and b, by webpack without and by Turbopack with a deployment id.
// scripts/test calls it; the last line of its output is the directory of the builds.
//
// usage: node build.mjs [--again]
//
// Builds lie in target/next-app and stay until a file here changes. Packages come from npm; a build asks nobody else.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

const here = import.meta.dirname;
const out = join(here, "../../../target/next-app");

/** Next.js refuses dots in an id; these are what the module makes of the versions in nginx-conf/lobechat.conf. */
const BUILDS = [
  { name: "plain-a", build: "a", bundler: "--webpack" },
  { name: "plain-b", build: "b", bundler: "--webpack" },
  { name: "deployment-a", build: "a", bundler: "--turbopack", deployment: "2-1-25" },
  { name: "deployment-b", build: "b", bundler: "--turbopack", deployment: "2-1-26" },
];

const files = (dir) =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

function hash(paths) {
  const sum = createHash("sha256");
  for (const path of paths) sum.update(`${relative(here, path)}\0`).update(readFileSync(path));
  return sum.digest("hex");
}

function run(command, args, options) {
  return new Promise((resolve, reject) => {
    let said = "";
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`${command} ${args.join(" ")}: ${code}\n${said}`))));
  });
}

/** Does `work` unless it has been done with the same key, and says how long it took. */
async function once(what, mark, key, work) {
  if (existsSync(mark) && readFileSync(mark, "utf8") === key) return;
  const start = Date.now();
  rmSync(mark, { force: true });
  await work();
  writeFileSync(mark, key);
  console.log(`${what}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

async function packages() {
  for (const name of ["package.json", "package-lock.json", ".npmrc"]) cpSync(join(here, name), join(out, name));
  await run("npm", ["ci", "--ignore-scripts"], { cwd: out });
}

/** A service worker that keeps every file of its own build, as LobeChat's does. */
function worker({ build, deployment }, dir) {
  const suffix = deployment ? `?dpl=${deployment}` : "";
  const urls = files(join(dir, ".next/static")).map((path) => `/_next/static/${encodeURI(relative(join(dir, ".next/static"), path))}${suffix}`);
  const head = `const BUILD = ${JSON.stringify(build)};\nconst FILES = ${JSON.stringify(urls, null, 1)};\n`;
  mkdirSync(join(dir, "public"));
  writeFileSync(join(dir, "public/sw.js"), head + readFileSync(join(here, "worker.js"), "utf8"));
}

async function build(one) {
  const dir = join(out, one.name);
  rmSync(dir, { recursive: true, force: true });
  for (const name of ["app", "next.config.mjs", "package.json"]) cpSync(join(here, name), join(dir, name), { recursive: true });
  writeFileSync(join(dir, "build.json"), JSON.stringify({ build: one.build, deployment: one.deployment }));
  const env = { ...process.env, NODE_ENV: "production", NEXT_TELEMETRY_DISABLED: "1" };
  delete env.NEXT_DEPLOYMENT_ID;
  await run(process.execPath, [join(out, "node_modules/next/dist/bin/next"), "build", one.bundler], { cwd: dir, env });
  rmSync(join(dir, ".next/cache"), { recursive: true, force: true });
  worker(one, dir);
}

/** The hash in a name must stand for the content, or a test could take one build's file for the other's. */
function compare(a, b) {
  const contents = (name) => {
    const root = join(out, name, ".next/static");
    return new Map(files(root).map((path) => [relative(root, path), readFileSync(path)]));
  };
  const [first, second] = [contents(a), contents(b)];
  const same = [...first.keys()].filter((path) => second.has(path));
  const other = same.filter((path) => !first.get(path).equals(second.get(path)));
  if (other.length > 0) throw new Error(`one name, two contents: ${other.join(", ")}`);
  if (same.length === first.size) throw new Error(`${a} and ${b} have the same files`);
}

if (process.argv.includes("--again")) rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const start = Date.now();
await once("packages", join(out, "packages.key"), hash([join(here, "package-lock.json")]), packages);
const sources = ["build.mjs", "next.config.mjs", "package-lock.json", "worker.js"].map((name) => join(here, name));
const key = hash([...files(join(here, "app")), ...sources]);
const queue = [...BUILDS];
// Two at a time: each keeps about one core busy.
await Promise.all(
  [1, 2].map(async () => {
    for (let one = queue.shift(); one; one = queue.shift()) await once(one.name, join(out, `${one.name}.key`), key, () => build(one));
  }),
);
compare("plain-a", "plain-b");
compare("deployment-a", "deployment-b");
console.log(`all: ${((Date.now() - start) / 1000).toFixed(1)} s`);
console.log(out);
