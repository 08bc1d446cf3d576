import { assert, assertEquals, assertRejects } from "@std/assert";
import { StorageError } from "../../runtime/errors.ts";
import { fakeScheduler, type Script } from "./_fake_scheduler.ts";
import { testServer } from "./_running_server.ts";
import { until } from "./clients/_until.ts";

/**
 * Sends bytes as they are and gives what comes back until the server ends the connection.
 *
 * @param leaving Waits until the client should leave, before it has an answer.
 */
async function raw(
  port: number,
  text: string,
  leaving?: () => Promise<void>,
): Promise<string> {
  using connection = await Deno.connect({ port });
  await connection.write(new TextEncoder().encode(text));
  if (leaving) {
    await leaving();
    return "";
  }
  let reply = "";
  const buffer = new Uint8Array(10_000);
  for (;;) {
    const size = await connection.read(buffer).catch(() => null);
    if (size === null) return reply;
    reply += new TextDecoder().decode(buffer.subarray(0, size));
  }
}

const HURRIED = { patience: { header: 300, request: 700 } };

function chatRequest(body: string, length = body.length): string {
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" +
    `Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`;
}

const HI = '{"messages": [{"role": "user", "content": "Hi"}]}';

Deno.test("who sends a header or a body too slowly, or no HTTP, is cut off", async () => {
  await using hurried = await testServer(fakeScheduler(), HURRIED);
  await using server = await testServer(fakeScheduler());
  const replies = await Promise.all([
    raw(hurried.port, ""),
    raw(hurried.port, "GET /health HTTP/1.1\r\nHost: loc"),
    raw(hurried.port, chatRequest("{", 1000)),
    // A busy machine may take longer over these than a hurried server waits.
    raw(server.port, "not HTTP\r\n\r\n"),
    raw(server.port, `GET / HTTP/1.1\r\nHost: localhost\r\nA: ${"x".repeat(100_000)}\r\n\r\n`),
  ]);
  assertEquals(replies.map((reply) => reply.split(" ")[1]), ["408", "408", "408", "400", "431"]);
  assertEquals((await fetch(`${server.url}/health`).then((reply) => reply.json())).status, "ok");
});

Deno.test("a client that leaves cancels its request, wherever it is, streamed or not", async () => {
  for (const hang of ["queued", "reading", "decoding"] as const) {
    for (const stream of [true, false]) {
      const scheduler = fakeScheduler(() => ({ hang }));
      await using server = await testServer(scheduler);
      const body = HI.replace("{", `{"stream": ${stream}, `);
      const there = () => until(() => scheduler.hanging.length === 1);
      await raw(server.port, chatRequest(body), there);
      await until(() => scheduler.cancelled.length === 1);
      assertEquals(scheduler.cancelled, [hang], `${hang}, stream: ${stream}`);
      assertEquals(server.logged, []);
    }
  }
});

Deno.test("a stream that has nothing to say sends comments", async () => {
  const scheduler = fakeScheduler(() => ({ hang: "reading" }));
  await using server = await testServer(scheduler, { keepAlive: 20 });
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: HI.replace("{", '{"stream": true, '),
  });
  let text = "";
  for await (const part of response.body ?? []) {
    text += new TextDecoder().decode(part);
    if (text.split(": keep-alive\n\n").length > 3) break;
  }
  assert(text.startsWith("data: {"));
  await until(() => scheduler.cancelled.length === 1);
});

Deno.test("a stream goes no faster than it is read", async () => {
  let made = 0;
  const answers = {
    *[Symbol.iterator]() {
      for (; made < 100_000; made++) yield "x".repeat(1000);
    },
  };
  const script = () => ({ answers: [answers as unknown as readonly string[]] }) satisfies Script;
  const scheduler = fakeScheduler(script);
  await using server = await testServer(scheduler);
  using connection = await Deno.connect({ port: server.port });
  const body = HI.replace("{", '{"stream": true, ');
  await connection.write(new TextEncoder().encode(chatRequest(body)));
  await until(() => made > 100);
  let before = -1;
  while (before !== made) {
    before = made;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  assert(made < 50_000, `${made} pieces were made for nobody`);
});

Deno.test("draining lets what runs end, and takes nothing more", async () => {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const scheduler = fakeScheduler(() => ({ hang: "decoding" }));
  const draining = { ...scheduler, close: () => ended };
  await using server = await testServer(draining);
  const { promise: left, resolve: leave } = Promise.withResolvers<void>();
  const running = raw(server.port, chatRequest(HI), () => left);
  await until(() => scheduler.requests.length === 1);
  const drained = server.drain();
  await assertRejects(() => Deno.connect({ port: server.port }));
  leave();
  end();
  await Promise.all([running, drained]);
});

Deno.test("an address that cannot be had is told plainly", async () => {
  await using server = await testServer(fakeScheduler());
  const second = () => testServer(fakeScheduler(), { port: server.port });
  await assertRejects(second, StorageError, "it is in use already; give another --port");
  for (const port of [-1, 65_536, 1.5]) {
    await assertRejects(
      () => testServer(fakeScheduler(), { port }),
      StorageError,
      `:${port}: a port is an integer from 0 to 65535; give another --port`,
    );
  }
});
