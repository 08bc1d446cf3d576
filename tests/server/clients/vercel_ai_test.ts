import { createOpenAICompatible } from "npm:@ai-sdk/openai-compatible@3.0.92";
import {
  APICallError,
  generateText,
  jsonSchema,
  Output,
  stepCountIs,
  streamText,
  tool,
} from "npm:ai@7.0.173";
import { assert, assertEquals } from "@std/assert";
import type { GenerationRequest } from "../../../server/scheduler/request.ts";
import { fakeScheduler, type Script } from "../_fake_scheduler.ts";
import { testServer } from "../_running_server.ts";
import { until } from "./_until.ts";

async function clientOf(script?: (request: GenerationRequest) => Script) {
  const scheduler = fakeScheduler(script);
  const server = await testServer(scheduler, { apiKeys: ["secret"] });
  const provider = createOpenAICompatible({
    name: "kvjudge",
    baseURL: `${server.url}/v1`,
    apiKey: "secret",
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
  return { model: provider("fake"), scheduler, server };
}

Deno.test("Vercel AI SDK: a text, with eviction among the provider's options", async () => {
  const { model, server, scheduler } = await clientOf();
  await using _ = server;
  const { text, usage, finishReason } = await generateText({
    model,
    prompt: "Hi",
    providerOptions: { kvjudge: { eviction: { policy: "snapkv", budget: 64 } } },
  });
  assertEquals([text, finishReason], ["Hello there", "stop"]);
  assertEquals([usage.inputTokens, usage.outputTokens], [10, 2]);
  assertEquals(scheduler.requests[0]?.eviction, { policy: "snapkv", budget: 64 });
});

Deno.test("Vercel AI SDK: a stream with its usage", async () => {
  const { model, server } = await clientOf();
  await using _ = server;
  const stream = streamText({ model, prompt: "Hi" });
  assertEquals(await Array.fromAsync(stream.textStream), ["Hello", " there"]);
  assertEquals((await stream.usage).inputTokens, 10);
});

Deno.test("Vercel AI SDK: tools are called and answered", async () => {
  const call = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>';
  const { model, server } = await clientOf((request) => {
    const again = request.prompt.kind === "chat" &&
      request.prompt.messages.some(({ role }) => role === "tool");
    return { answers: [[again ? "It is 5." : call]] };
  });
  await using _ = server;
  const inputSchema = jsonSchema<{ a: number; b: number }>({
    type: "object",
    properties: { a: { type: "number" }, b: { type: "number" } },
  });
  const { text, steps } = await generateText({
    model,
    prompt: "Hi",
    stopWhen: stepCountIs(3),
    tools: {
      add: tool({ inputSchema, execute: ({ a, b }) => Promise.resolve(a + b) }),
    },
  });
  assertEquals([text, steps.length], ["It is 5.", 2]);
  assertEquals<unknown>(steps[0]?.toolResults[0]?.output, 5);
});

Deno.test("Vercel AI SDK: an object by its schema", async () => {
  const { model, server, scheduler } = await clientOf(() => ({ answers: [['{"a"', ": 1}"]] }));
  await using _ = server;
  const schema = jsonSchema<{ a: number }>({
    type: "object",
    properties: { a: { type: "integer" } },
  });
  const { output } = await generateText({ model, prompt: "Hi", output: Output.object({ schema }) });
  assertEquals(output, { a: 1 });
  assertEquals(scheduler.requests[0]?.grammar?.kind, "json_schema");
});

Deno.test("Vercel AI SDK: an error says what is wrong, an abort cancels", async () => {
  const { model, server, scheduler } = await clientOf(() => ({ hang: "decoding" }));
  await using _ = server;
  const error = await generateText({
    model,
    prompt: "Hi",
    maxRetries: 0,
    providerOptions: { kvjudge: { eviction: { policy: "snapvk" } } },
  }).catch((error) => error);
  assert(APICallError.isInstance(error));
  assertEquals(error.statusCode, 400);
  assert(error.message.includes("did you mean 'snapkv'?"), error.message);
  const abort = new AbortController();
  const asked = generateText({ model, prompt: "Hi", abortSignal: abort.signal }).catch(() => {});
  await until(() => scheduler.requests.length === 1);
  abort.abort();
  await until(() => scheduler.cancelled.length === 1);
  await asked;
});
