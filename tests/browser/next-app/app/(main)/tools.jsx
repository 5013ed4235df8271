"use client";
// What a tester clicks: a lazy chunk, the API, a stream, the service worker.

import dynamic from "next/dynamic";
import { useEffect, useState } from "react";

const Panel = dynamic(() => import("./panel"), { ssr: false });

export function Tools() {
  const [shown, show] = useState(false);
  const [api, tell] = useState("");
  const [tokens, stream] = useState([]);
  const [worker, register] = useState("");

  // A click that comes earlier is lost.
  useEffect(() => void (document.body.dataset.ready = ""), []);

  async function ask() {
    tell("");
    // Next.js sends the header with its own requests; an application adds it to its own.
    const headers = process.env.DEPLOYMENT ? { "x-deployment-id": process.env.DEPLOYMENT } : {};
    tell(await (await fetch("/api/build", { headers })).text());
  }

  function listen() {
    const source = new EventSource("/webapi/events");
    source.onmessage = (event) => stream((all) => [...all, { text: event.data, at: Math.round(performance.now()) }]);
    source.addEventListener("done", () => source.close());
  }

  async function install() {
    await navigator.serviceWorker.register("/sw.js");
    await navigator.serviceWorker.ready;
    register("ready");
  }

  return (
    <section>
      <button id="lazy" onClick={() => show(true)}>Panel</button>
      <button id="ask" onClick={ask}>API</button>
      <button id="listen" onClick={listen}>Stream</button>
      <button id="install" onClick={install}>Service worker</button>
      {shown && <Panel />}
      <p id="api">{api}</p>
      <p id="tokens">{JSON.stringify(tokens)}</p>
      <p id="worker">{worker}</p>
    </section>
  );
}
