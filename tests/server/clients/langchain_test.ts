import { HumanMessage } from "npm:@langchain/core@1.4.0/messages";
import { ChatOpenAI, OpenAI } from "npm:@langchain/openai@1.6.0";
import { assertEquals, assertRejects } from "@std/assert";
import type { GenerationRequest } from "../../../server/scheduler/request.ts";
import { fakeScheduler, type Script } from "../_fake_scheduler.ts";
import { testServer } from "../_running_server.ts";
import { until } from "./_until.ts";

async function clientOf(script?: (request: GenerationRequest) => Script) {
  const scheduler = fakeScheduler(script);
  const server = await testServer(scheduler);
  const fields = {
    model: "fake",
    apiKey: "none",
    maxRetries: 0,
    configuration: { baseURL: `${server.url}/v1` },
  };
  return { fields, chat: new ChatOpenAI(fields), scheduler, server };
}

/** The package's own types lose this field. */
function usageOf({ usage_metadata }: { readonly usage_metadata?: object | undefined }) {
  const { input_tokens, output_tokens, total_tokens } = { ...usage_metadata } as Record<
    string,
    unknown
  >;
  return total_tokens === undefined ? undefined : { input_tokens, output_tokens, total_tokens };
}

Deno.test("LangChain.js: a chat, and a text", async () => {
  const { chat, fields, server, scheduler } = await clientOf();
  await using _ = server;
  const answer = await chat.invoke([new HumanMessage("Hi")]);
  assertEquals(answer.content, "Hello there");
  assertEquals(usageOf(answer), { input_tokens: 10, output_tokens: 2, total_tokens: 12 });
  assertEquals(await new OpenAI(fields).invoke("Once"), "Hello there");
  assertEquals(scheduler.requests[1]?.prompt.kind, "text");
});

Deno.test("LangChain.js: eviction in modelKwargs", async () => {
  const { fields, server, scheduler } = await clientOf();
  await using _ = server;
  const modelKwargs = { eviction: { policy: "snapkv", budget: "10%" } };
  await new ChatOpenAI({ ...fields, modelKwargs }).invoke("Hi");
  assertEquals(scheduler.requests[0]?.eviction, { policy: "snapkv", budget: { ratio: 0.1 } });
});

Deno.test("LangChain.js: a stream, whose usage it asks for by itself", async () => {
  const { chat, server } = await clientOf();
  await using _ = server;
  const chunks = await Array.fromAsync(await chat.stream("Hi"));
  assertEquals(chunks.map(({ content }) => content).join(""), "Hello there");
  assertEquals(chunks.map(usageOf).find(Boolean)?.total_tokens, 12);
});

Deno.test("LangChain.js: bound tools, and structured output", async () => {
  const call = '<tool_call>\n{"name": "add", "arguments": {"a": 2}}\n</tool_call>';
  const { chat, server } = await clientOf(({ grammar }) => ({
    answers: [[grammar?.kind === "json_schema" ? '{"a": 1}' : call]],
  }));
  await using _ = server;
  const schema = { type: "object", properties: { a: { type: "number" } } };
  const tools = [{ type: "function" as const, function: { name: "add", parameters: schema } }];
  const { tool_calls } = await chat.bindTools(tools).invoke("Hi");
  assertEquals(tool_calls?.map(({ name, args }) => ({ name, args })), [{
    name: "add",
    args: { a: 2 },
  }]);
  const structured = chat.withStructuredOutput({ title: "x", ...schema }, { method: "jsonSchema" });
  assertEquals<unknown>(await structured.invoke("Hi"), { a: 1 });
});

Deno.test("LangChain.js: errors are thrown, an abort cancels", async () => {
  const { chat, fields, server, scheduler } = await clientOf(() => ({ hang: "reading" }));
  await using _ = server;
  await assertRejects(
    () => new ChatOpenAI({ ...fields, model: "nope" }).invoke("Hi"),
    Error,
    "nope",
  );
  const abort = new AbortController();
  const asked = chat.invoke("Hi", { signal: abort.signal }).catch(() => {});
  await until(() => scheduler.requests.length === 2);
  abort.abort();
  await until(() => scheduler.cancelled.includes("reading"));
  await asked;
});
