import { assertEquals } from "@std/assert";
import { eventsOf, testApp } from "../_test_app.ts";

const PATH = "/v1/responses";

Deno.test("a response says what was asked, what was written and what happened to the cache", async () => {
  const app = testApp();
  const response = await app.post(PATH, {
    instructions: "Be brief.",
    input: [{ role: "user", content: [{ type: "input_text", text: "Hi" }] }],
    max_output_tokens: 5,
    text: { format: { type: "json_schema", name: "x", schema: { type: "object" } } },
  });
  const { output, status, usage, kvjudge, ...head } = await response.json();
  assertEquals([head.id, head.object, status, head.error], [
    "resp-id0",
    "response",
    "completed",
    null,
  ]);
  assertEquals(output, [{
    id: "msg_id1",
    type: "message",
    status: "completed",
    role: "assistant",
    content: [{ type: "output_text", text: "Hello there", annotations: [], logprobs: [] }],
  }]);
  assertEquals([usage.input_tokens, usage.output_tokens, kvjudge.kept], [10, 2, 8]);
  const [request] = app.scheduler.requests;
  assertEquals(request?.prompt, {
    kind: "chat",
    messages: [{ role: "system", content: "Be brief." }, { role: "user", content: "Hi" }],
  });
  assertEquals(request?.grammar, { kind: "json_schema", schema: { type: "object" } });
  assertEquals(request?.maxTokens, 5);
});

Deno.test("an answer that was cut is incomplete, streamed too", async () => {
  const app = testApp(() => ({ finishReason: "length" }));
  const whole = await (await app.post(PATH, { input: "Hi" })).json();
  assertEquals([whole.status, whole.incomplete_details.reason], [
    "incomplete",
    "max_output_tokens",
  ]);
  const events = await eventsOf(await app.post(PATH, { input: "Hi", stream: true }));
  const types = events as { readonly type: string; readonly sequence_number: number }[];
  assertEquals(types.map(({ sequence_number }) => sequence_number), [...types.keys()]);
  assertEquals(types.map(({ type }) => type.replace("response.", "")), [
    "created",
    "in_progress",
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
    "incomplete",
  ]);
});

Deno.test("state, tools and other items are refused by name", async () => {
  const app = testApp();
  for (
    const [body, param] of [
      [{ input: "Hi", previous_response_id: "resp-1" }, "previous_response_id"],
      [{ input: "Hi", tools: [{ type: "web_search" }] }, "tools"],
      [{ input: [{ type: "function_call_output", output: "" }] }, "input"],
      [{ input: "" }, "input"],
    ] as const
  ) {
    const response = await app.post(PATH, body);
    const { error } = await response.json();
    assertEquals([response.status, error.param.split("[")[0]], [400, param]);
  }
});
