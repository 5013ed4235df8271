// A stream of twenty tokens, one each 200 ms, as a chat's answer.
export const dynamic = "force-dynamic";

const pause = () => new Promise((resolve) => setTimeout(resolve, 200));

export function GET() {
  const encoder = new TextEncoder();
  const body = new ReadableStream({
    async start(controller) {
      for (let n = 0; n < 20; n += 1) {
        controller.enqueue(encoder.encode(`data: ${process.env.BUILD}${n}\n\n`));
        await pause();
      }
      controller.enqueue(encoder.encode("event: done\ndata:\n\n"));
      controller.close();
    },
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" } });
}
