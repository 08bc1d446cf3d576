import { Ollama } from "npm:ollama@0.6.4";
import { assertEquals, assertRejects } from "@std/assert";
import type { GenerationRequest } from "../../../server/scheduler/request.ts";
import { fakeScheduler, type Script } from "../_fake_scheduler.ts";
import { testServer } from "../_running_server.ts";
import { until } from "./_until.ts";

async function clientOf(script?: (request: GenerationRequest) => Script) {
  const scheduler = fakeScheduler(script);
  const server = await testServer(scheduler);
  return { client: new Ollama({ host: server.url }), scheduler, server };
}

const HI = { model: "fake:latest", messages: [{ role: "user", content: "Hi" }] };

Deno.test("ollama: a chat and a prompt, whole and streamed", async () => {
  const { client, server, scheduler } = await clientOf();
  await using _ = server;
  const chat = await client.chat(HI);
  assertEquals([chat.message.content, chat.done, chat.done_reason], ["Hello there", true, "stop"]);
  assertEquals([chat.prompt_eval_count, chat.eval_count], [10, 2]);
  const parts = await Array.fromAsync(await client.chat({ ...HI, stream: true }));
  assertEquals(parts.map(({ message }) => message.content), ["Hello", " there", ""]);
  assertEquals(parts.map(({ done }) => done), [false, false, true]);
  const answer = await client.generate({ model: "fake", prompt: "Hi", system: "Be brief." });
  assertEquals(answer.response, "Hello there");
  assertEquals(scheduler.requests.map(({ model }) => model), ["fake", "fake", "fake"]);
});

Deno.test("ollama: options, a format, and raw prompts", async () => {
  const { client, server, scheduler } = await clientOf();
  await using _ = server;
  const options = { temperature: 0, num_predict: 5, stop: ["x"], seed: 3, repeat_penalty: 1.1 };
  await client.generate({ model: "fake", prompt: "Hi", raw: true, options, format: "json" });
  const [request] = scheduler.requests;
  assertEquals(request?.prompt, { kind: "text", text: "Hi", special: true });
  assertEquals(request?.sampling, {
    temperature: 0,
    topK: 40,
    topP: 0.9,
    seed: 3,
    repetitionPenalty: 1.1,
  });
  assertEquals([request?.maxTokens, request?.stop], [5, ["x"]]);
  assertEquals(request?.grammar, { kind: "json_object" });
});

Deno.test("ollama: tools are called", async () => {
  const call = '<tool_call>\n{"name": "add", "arguments": {"a": 2}}\n</tool_call>';
  const { client, server } = await clientOf(() => ({ answers: [[call]] }));
  await using _ = server;
  const parameters = { type: "object", properties: { a: { type: "number" } } };
  const tools = [{ type: "function", function: { name: "add", description: "", parameters } }];
  const { message } = await client.chat({ ...HI, tools });
  assertEquals(message.tool_calls, [{ function: { name: "add", arguments: { a: 2 } } }]);
});

Deno.test("ollama: lists, shows, loads", async () => {
  const { client, server } = await clientOf();
  await using _ = server;
  assertEquals((await client.list()).models.map(({ name }) => name), ["fake", "other/model"]);
  assertEquals((await client.ps()).models.map(({ name }) => name), ["fake"]);
  assertEquals((await client.show({ model: "fake" })).details.family, "llama");
  assertEquals((await client.generate({ model: "fake", prompt: "" })).done_reason, "load");
  assertEquals((await client.version()).version, "1.2.3");
});

Deno.test("ollama: errors are thrown, also in the middle; an abort cancels", async () => {
  let script: Script = { fail: { after: 1, error: new Error("a bug") } };
  const { client, server, scheduler } = await clientOf(() => script);
  await using _ = server;
  await assertRejects(() => client.chat({ ...HI, model: "nope" }), Error, "nope");
  const stream = await client.chat({ ...HI, stream: true });
  await assertRejects(() => Array.fromAsync(stream), Error, "its log says more");
  assertEquals(server.logged.length, 1);
  script = { hang: "decoding" };
  const hanging = await client.chat({ ...HI, stream: true });
  const read = Array.fromAsync(hanging).catch(() => {});
  await until(() => scheduler.requests.length === 3);
  hanging.abort();
  await read;
  await until(() => scheduler.cancelled.at(-1) === "decoding");
});
