// build.mjs puts BUILD and FILES above and serves it as /sw.js. It takes over at once, as LobeChat's does.

const CACHE = `build-${BUILD}`;

self.addEventListener("install", (event) => {
  self.skipWaiting();
  // One file that is missing, and the worker is not installed.
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
});

self.addEventListener("activate", (event) => {
  const others = async () => (await caches.keys()).filter((name) => name !== CACHE);
  event.waitUntil(others().then((names) => Promise.all(names.map((name) => caches.delete(name)))).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  // A stream has no end that a worker could wait for.
  if (event.request.headers.get("accept") === "text/event-stream") return;
  event.respondWith(caches.match(event.request).then((kept) => kept ?? fetch(event.request)));
});
