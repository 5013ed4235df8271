// Runs builds of build.mjs on free loopback ports until its standard input ends, so that none outlives its caller.
//
// usage: node serve.mjs DIR...      prints the ports on one line, in the order of the directories, once all answer

import { spawn } from "node:child_process";
import { join } from "node:path";

const servers = [];

function end(code) {
  for (const server of servers) server.kill("SIGKILL");
  process.exit(code);
}

/** Resolves with the port that the server of this directory has taken. */
function serve(dir) {
  const next = join(dir, "../node_modules/next/dist/bin/next");
  const env = { ...process.env, NODE_ENV: "production", NEXT_TELEMETRY_DISABLED: "1" };
  // Each build has its own in its files, or none.
  delete env.NEXT_DEPLOYMENT_ID;
  const server = spawn(process.execPath, [next, "start", "-H", "127.0.0.1", "-p", "0"], { cwd: dir, env, stdio: ["ignore", "pipe", "inherit"] });
  servers.push(server);
  return new Promise((resolve) => {
    let said = "";
    server.stdout.on("data", (text) => {
      said += text;
      const port = /Local:\s+http:\/\/127\.0\.0\.1:(\d+)[^]*Ready/.exec(said)?.[1];
      if (port) resolve(port);
    });
    server.on("exit", (code) => {
      console.error(`the server in ${dir} ended (${code}):\n${said}`);
      end(1);
    });
  });
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => end(1));
process.stdin.on("end", () => end(0)).resume();
console.log((await Promise.all(process.argv.slice(2).map(serve))).join(" "));
