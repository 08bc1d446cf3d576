import OpenAI from "npm:openai@7.59.0";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ContextOverflowError, OverloadedError } from "../../../server/scheduler/errors.ts";
import type { GenerationRequest } from "../../../server/scheduler/request.ts";
import { fakeScheduler, type Script } from "../_fake_scheduler.ts";
import { testServer } from "../_running_server.ts";
import { until } from "./_until.ts";

async function clientOf(script?: (request: GenerationRequest) => Script) {
  const scheduler = fakeScheduler(script);
  const server = await testServer(scheduler, { apiKeys: ["secret"] });
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "secret", maxRetries: 0 });
  return { client, scheduler, server };
}

const HI = { model: "fake", messages: [{ role: "user" as const, content: "Hi" }] };

Deno.test("openai: models, a chat, a text and a response", async () => {
  const { client, server } = await clientOf();
  await using _ = server;
  const models = await Array.fromAsync(await client.models.list());
  assertEquals(models.map(({ id }) => id), ["fake", "other/model"]);
  assertEquals((await client.models.retrieve("other/model")).object, "model");
  const chat = await client.chat.completions.create(HI);
  assertEquals(chat.choices[0]?.message.content, "Hello there");
  const text = await client.completions.create({ model: "fake", prompt: "Once" });
  assertEquals(text.choices[0]?.text, "Hello there");
  const response = await client.responses.create({ model: "fake", input: "Hi" });
  assertEquals(response.output_text, "Hello there");
  assertEquals(response.usage?.total_tokens, 12);
});

Deno.test("openai: settings of our own travel as plain fields, and what happened comes back", async () => {
  const { client, server, scheduler } = await clientOf();
  await using _ = server;
  const own = { eviction: { policy: "snapkv", budget: 64 } };
  const chat = await client.chat.completions.create({ ...HI, ...own });
  assertEquals(scheduler.requests[0]?.eviction, { policy: "snapkv", budget: 64 });
  assert("kvjudge" in chat);
});

Deno.test("openai: a stream, chunk by chunk and gathered by its helper", async () => {
  const { client, server } = await clientOf();
  await using _ = server;
  const stream = await client.chat.completions.create({
    ...HI,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = await Array.fromAsync(stream);
  assertEquals(
    chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""),
    "Hello there",
  );
  assertEquals(chunks.at(-1)?.usage?.total_tokens, 12);
  const gathered = await client.chat.completions.stream(HI).finalChatCompletion();
  assertEquals(gathered.choices[0]?.message.content, "Hello there");
  const events = await client.responses.create({ model: "fake", input: "Hi", stream: true });
  const types = (await Array.fromAsync(events)).map(({ type }) => type);
  assertEquals([types[0], types.at(-1)], ["response.created", "response.completed"]);
});

Deno.test("openai: runTools calls the tool and hands its answer over", async () => {
  const call = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>';
  const { client, server, scheduler } = await clientOf((request) => {
    const again = request.prompt.kind === "chat" &&
      request.prompt.messages.some(({ role }) => role === "tool");
    return { answers: [[again ? "It is 5." : call]] };
  });
  await using _ = server;
  const runner = client.chat.completions.runTools({
    ...HI,
    tools: [{
      type: "function",
      function: {
        name: "add",
        description: "Adds",
        parse: (text: string): { a: number; b: number } => JSON.parse(text),
        parameters: { type: "object", properties: { a: { type: "number" } } },
        function: ({ a, b }: { a: number; b: number }) => String(a + b),
      },
    }],
  });
  assertEquals(await runner.finalContent(), "It is 5.");
  const last = scheduler.requests.at(-1)?.prompt;
  assert(last?.kind === "chat");
  assertEquals(last.messages.at(-1)?.content, "5");
});

Deno.test("openai: the arguments of a streamed call arrive in pieces, and its helper joins them", async () => {
  const call = ['<tool_call>\n{"name": "add", "arguments": {"a"', ": 2", "}}\n</tool_call>"];
  const { client, server } = await clientOf(() => ({ answers: [call] }));
  await using _ = server;
  const parameters = { type: "object", properties: { a: { type: "number" } } };
  const tools = [{ type: "function" as const, function: { name: "add", parameters } }];
  const stream = client.chat.completions.stream({ ...HI, tools });
  const pieces: string[] = [];
  stream.on("tool_calls.function.arguments.delta", (event) => {
    pieces.push(event.arguments_delta);
  });
  const { choices: [choice] } = await stream.finalChatCompletion();
  assertEquals(pieces, ['{"a"', ": 2", "}"]);
  const [made] = choice?.message.tool_calls ?? [];
  assert(made?.type === "function");
  assertEquals([made.function.name, made.function.arguments], ["add", '{"a": 2}']);
  assertEquals(choice?.finish_reason, "tool_calls");
});

Deno.test("openai: a JSON schema is parsed by its helper", async () => {
  const { client, server } = await clientOf(() => ({ answers: [['{"a"', ": 1}"]] }));
  await using _ = server;
  const schema = { type: "object", properties: { a: { type: "integer" } } };
  const chat = await client.chat.completions.parse({
    ...HI,
    response_format: { type: "json_schema", json_schema: { name: "x", schema, strict: true } },
  });
  assertEquals<unknown>(chat.choices[0]?.message.parsed, { a: 1 });
});

Deno.test("openai: errors are of the client's own classes", async () => {
  const { client, server } = await clientOf(({ maxTokens }) => ({
    refuse: maxTokens === 1
      ? new ContextOverflowError("too long", 200, 100)
      : new OverloadedError("busy", 3),
  }));
  await using _ = server;
  const wrong = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "no", maxRetries: 0 });
  await assertRejects(() => wrong.models.list(), OpenAI.AuthenticationError);
  const unknown = { ...HI, model: "gpt-4o" };
  await assertRejects(() => client.chat.completions.create(unknown), OpenAI.NotFoundError);
  const long = await client.chat.completions.create({ ...HI, max_tokens: 1 }).catch((error) =>
    error
  );
  assert(long instanceof OpenAI.BadRequestError);
  assertEquals([long.code, long.type], ["context_length_exceeded", "exceed_context_size_error"]);
  assertEquals<unknown>(long.error, {
    message: "too long",
    type: "exceed_context_size_error",
    param: null,
    code: "context_length_exceeded",
    n_prompt_tokens: 200,
    n_ctx: 100,
  });
  const busy = await client.chat.completions.create(HI).catch((error) => error);
  assert(busy instanceof OpenAI.InternalServerError);
  assertEquals([busy.status, busy.headers?.get("retry-after")], [503, "3"]);
});

Deno.test("openai: an error in the middle of a stream is thrown", async () => {
  const fail = { after: 1, error: new OverloadedError("gone", 1) };
  const { client, server } = await clientOf(() => ({ fail }));
  await using _ = server;
  const stream = await client.chat.completions.create({ ...HI, stream: true });
  const error = await Array.fromAsync(stream).catch((error) => error);
  assert(error instanceof OpenAI.APIError);
  assertEquals(error.message, "gone");
});

Deno.test("openai: leaving a stream, and aborting a request that waits, cancels it", async () => {
  let hang: NonNullable<Script["hang"]> = "decoding";
  const { client, server, scheduler } = await clientOf(() => ({ hang }));
  await using _ = server;
  const stream = await client.chat.completions.create({ ...HI, stream: true });
  for await (const _chunk of stream) break;
  await until(() => scheduler.cancelled.length === 1);
  for (hang of ["queued", "reading", "decoding"] as const) {
    const before = scheduler.cancelled.length;
    const abort = new AbortController();
    const asked = client.chat.completions.create(HI, { signal: abort.signal });
    await until(() => scheduler.requests.length === before + 1);
    abort.abort();
    await assertRejects(() => asked, OpenAI.APIUserAbortError);
    await until(() => scheduler.cancelled.length === before + 1);
  }
  assertEquals(scheduler.cancelled, ["decoding", "queued", "reading", "decoding"]);
});
