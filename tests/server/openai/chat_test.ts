import { assert, assertEquals } from "@std/assert";
import { chunksOf, saying, testApp } from "../_test_app.ts";

const PATH = "/v1/chat/completions";

Deno.test("a chat is answered in OpenAI's form, with what happened to the cache", async () => {
  const app = testApp();
  const response = await app.post(PATH, saying("Hi", { model: "fake" }));
  assertEquals(response.status, 200);
  assertEquals(await response.json(), {
    id: "chatcmpl-id0",
    object: "chat.completion",
    created: 1_700_000_000,
    model: "fake",
    system_fingerprint: "fp_0123456789ab_1.2.3",
    choices: [{
      index: 0,
      message: { role: "assistant", content: "Hello there", refusal: null },
      logprobs: null,
      finish_reason: "stop",
    }],
    usage: {
      prompt_tokens: 10,
      completion_tokens: 2,
      total_tokens: 12,
      prompt_tokens_details: { cached_tokens: 4 },
    },
    kvjudge: {
      policy: "full",
      kept: 8,
      held: 10,
      bytes_before: 1000,
      bytes_after: 800,
      times: { queue: 1, prefill: 2, evidence: 3, selection: 4, compaction: 5, decode: 6 },
    },
    timings: {
      cache_n: 4,
      prompt_n: 6,
      prompt_ms: 20,
      prompt_per_second: 300,
      predicted_n: 2,
      predicted_ms: 40,
      predicted_per_second: 50,
    },
  });
});

Deno.test("every field of a chat reaches the scheduler, nulls and unknown fields reach nothing", async () => {
  const app = testApp();
  await app.post(PATH, {
    model: "fake",
    messages: [
      { role: "developer", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "Hi" }, { type: "text", text: "there" }] },
    ],
    max_completion_tokens: 5,
    max_tokens: 9,
    temperature: 0.5,
    top_p: 0.9,
    top_k: -1,
    min_p: 0.1,
    frequency_penalty: 1,
    presence_penalty: -1,
    repetition_penalty: 1.1,
    stop: "END",
    n: 2,
    seed: 3,
    logit_bias: { "5": -100 },
    user: "me",
    stream: null,
    stream_options: null,
    response_format: { type: "text" },
    logprobs: true,
    top_logprobs: 2,
    metadata: { a: 1 },
    store: true,
    document: "doc-1",
    explain: true,
    timeout: 2,
    chat_template_kwargs: { enable_thinking: false },
  });
  const [{ signal, ...request }] = app.scheduler.requests as [typeof app.scheduler.requests[0]];
  assert(signal);
  assertEquals<unknown>(request, {
    model: "fake",
    prompt: {
      kind: "chat",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hi\nthere" },
      ],
      variables: { enable_thinking: false },
    },
    document: "doc-1",
    eviction: false,
    sampling: {
      temperature: 0.5,
      seed: 3,
      topP: 0.9,
      topK: 0,
      minP: 0.1,
      frequencyPenalty: 1,
      presencePenalty: -1,
      repetitionPenalty: 1.1,
      logitBias: { "5": -100 },
    },
    choices: 2,
    stop: ["END"],
    maxTokens: 5,
    logprobs: 2,
    explain: true,
    timeout: 2000,
  });
});

Deno.test("without a seed one is drawn, without a temperature it is 1, a top_p of 0 is greedy", async () => {
  const app = testApp();
  await app.post(PATH, saying("Hi"));
  await app.post(PATH, saying("Hi", { top_p: 0 }));
  const sampling = app.scheduler.requests.map((request) => request.sampling);
  assertEquals(sampling, [{ temperature: 1, seed: 7 }, { temperature: 0, seed: 7 }]);
});

Deno.test("log probabilities come token by token, an impossible token has one that JSON can say", async () => {
  const app = testApp();
  const response = await app.post(PATH, saying("Hi", { logprobs: true, top_logprobs: 1 }));
  const { choices: [{ logprobs }] } = await response.json();
  assertEquals(logprobs.content[0], {
    token: "Hello",
    logprob: -0.5,
    bytes: [72, 101, 108, 108, 111],
    top_logprobs: [{ token: "Hello", logprob: -0.5, bytes: [72, 101, 108, 108, 111] }],
  });
  assertEquals([logprobs.content.length, logprobs.refusal], [2, null]);
});

Deno.test("usage with n > 1 counts the prompt once and every answer", async () => {
  const app = testApp(() => ({ answers: [["a"], ["b", "c"], ["d"]] }));
  const { choices, usage } = await (await app.post(PATH, saying("Hi", { n: 3 }))).json();
  assertEquals(choices.map((one: { message: { content: string } }) => one.message.content), [
    "a",
    "bc",
    "d",
  ]);
  assertEquals([usage.prompt_tokens, usage.completion_tokens], [10, 4]);
});

Deno.test("a stream says the role once, the report with the end, the usage alone, then [DONE]", async () => {
  const app = testApp();
  const body = saying("Hi", { stream: true, stream_options: { include_usage: true } });
  const response = await app.post(PATH, body);
  assertEquals(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const chunks = await chunksOf(response);
  assertEquals(chunks.map(({ choices }) => choices[0]?.delta ?? null), [
    { role: "assistant", content: "", refusal: null },
    { content: "Hello" },
    { content: " there" },
    {},
    null,
  ]);
  assertEquals(chunks.map(({ usage }) => usage && usage.total_tokens), [
    null,
    null,
    null,
    null,
    12,
  ]);
  assertEquals(
    new Set(chunks.map(({ id, created, object }) => `${id} ${created} ${object}`)).size,
    1,
  );
  const last = chunks[3];
  assertEquals(last?.choices[0]?.finish_reason, "stop");
  assertEquals(last?.kvjudge?.kept, 8);
  assertEquals(last?.timings?.predicted_n, 2);
});

Deno.test("a stream without include_usage has no usage and no chunk without choices", async () => {
  const app = testApp();
  const chunks = await chunksOf(await app.post(PATH, saying("Hi", { stream: true })));
  assertEquals(chunks.length, 4);
  assert(chunks.every((chunk) => chunk.choices.length === 1 && !("usage" in chunk)));
});

Deno.test("several answers are streamed side by side, each with its end", async () => {
  const app = testApp(() => ({ answers: [["a"], ["b"]] }));
  const chunks = await chunksOf(await app.post(PATH, saying("Hi", { stream: true, n: 2 })));
  const choices = chunks.flatMap((chunk) => chunk.choices);
  assertEquals(choices.map(({ index }) => index), [0, 1, 0, 0, 1, 1]);
  assertEquals(choices.filter((one) => one.finish_reason === "stop").length, 2);
});

Deno.test("return_progress tells how far the prompt is read", async () => {
  const app = testApp();
  const body = saying("Hi", { stream: true, return_progress: true });
  const chunks = await chunksOf(await app.post(PATH, body));
  const progress = chunks.map((chunk) => chunk.prompt_progress).filter(Boolean);
  assertEquals(progress, [{ total: 10, cache: 4, processed: 4 }, {
    total: 10,
    cache: 4,
    processed: 10,
  }]);
});

const TOOL = {
  type: "function",
  function: { name: "look", parameters: { type: "object" } },
};
const CALL = [
  "Let me see.\n",
  "<tool",
  "_call>\n",
  '{"name": "look", "argu',
  'ments": {"at"',
  ": 1}}",
  "\n</tool_call>",
];

Deno.test("a call of a tool is told apart from the text", async () => {
  const app = testApp(() => ({ answers: [CALL] }));
  const { choices: [choice] } = await (await app.post(PATH, saying("Hi", { tools: [TOOL] })))
    .json();
  assertEquals(choice, {
    index: 0,
    message: {
      role: "assistant",
      content: "Let me see.",
      refusal: null,
      tool_calls: [{
        id: "call_id1",
        type: "function",
        function: { name: "look", arguments: '{"at": 1}' },
      }],
    },
    logprobs: null,
    finish_reason: "tool_calls",
  });
  assertEquals(app.scheduler.requests[0]?.grammar, {
    kind: "tools",
    tools: [{ name: "look", parameters: { type: "object" } }],
    required: false,
    parallel: true,
  });
});

Deno.test("a streamed call of a tool comes piece by piece, with its index and none of its text", async () => {
  const app = testApp(() => ({ answers: [CALL] }));
  const body = saying("Hi", { tools: [TOOL], stream: true, tool_choice: "required" });
  const chunks = await chunksOf(await app.post(PATH, body));
  const choices = chunks.flatMap((chunk) => chunk.choices);
  const text = choices.map(({ delta }) => delta.content ?? "").join("");
  assertEquals(text, "Let me see.");
  assertEquals(choices.flatMap(({ delta }) => delta.tool_calls ?? []), [{
    index: 0,
    id: "call_id1",
    type: "function",
    function: { name: "look", arguments: '{"at"' },
  }, { index: 0, function: { arguments: ": 1}" } }]);
  assertEquals(choices.at(-1)?.finish_reason, "tool_calls");
});

Deno.test("tool_choice narrows the tools, and is refused where it names none", async () => {
  const app = testApp();
  const other = { type: "function", function: { name: "other" } };
  const named = { type: "function", function: { name: "other" } };
  await app.post(PATH, saying("Hi", { tools: [TOOL, other], tool_choice: named }));
  await app.post(PATH, saying("Hi", { tools: [TOOL], tool_choice: "none" }));
  assertEquals(app.scheduler.requests.map((request) => request.grammar), [
    { kind: "tools", tools: [{ name: "other" }], required: true, parallel: true },
    undefined,
  ]);
  for (const body of [{ tools: [TOOL], tool_choice: named }, { tool_choice: "required" }]) {
    const response = await app.post(PATH, saying("Hi", body));
    assertEquals(response.status, 400);
    assertEquals((await response.json()).error.param, "tool_choice");
  }
});

Deno.test("calls and results of tools in a conversation reach the scheduler", async () => {
  const app = testApp();
  await app.post(PATH, {
    messages: [
      { role: "user", content: "Hi" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{
          id: "c1",
          type: "function",
          function: { name: "look", arguments: ' {"at" : 1} ' },
        }],
      },
      { role: "tool", tool_call_id: "c1", content: "a door" },
    ],
  });
  const [request] = app.scheduler.requests;
  assert(request?.prompt.kind === "chat");
  assertEquals(request.prompt.messages.slice(1), [
    {
      role: "assistant",
      content: "",
      toolCalls: [{ id: "c1", name: "look", arguments: '{"at":1}' }],
    },
    { role: "tool", content: "a door", toolCallId: "c1" },
  ]);
});

Deno.test("response_format becomes a grammar", async () => {
  const app = testApp();
  const schema = { type: "object", properties: { a: { type: "integer" } } };
  for (
    const format of [
      { type: "json_object" },
      { type: "json_schema", json_schema: { name: "x", schema, strict: true } },
    ]
  ) await app.post(PATH, saying("Hi", { response_format: format }));
  assertEquals(app.scheduler.requests.map(({ grammar }) => grammar), [
    { kind: "json_object" },
    { kind: "json_schema", schema },
  ]);
});

Deno.test("fields that are wrong are named", async () => {
  const app = testApp();
  const cases: readonly [object, string][] = [
    [{ messages: [] }, "messages"],
    [{}, "messages"],
    [{ messages: [{ role: "user" }] }, "messages[0].content"],
    [{ messages: [{ role: "robot", content: "" }] }, "messages[0].role"],
    [saying("Hi", { temperature: "hot" }), "temperature"],
    [saying("Hi", { temperature: -1 }), "temperature"],
    [saying("Hi", { top_p: 2 }), "top_p"],
    [saying("Hi", { max_tokens: 0 }), "max_tokens"],
    [saying("Hi", { n: 0 }), "n"],
    [saying("Hi", { stop: [""] }), "stop"],
    [saying("Hi", { logit_bias: { a: 1 } }), "logit_bias.a"],
    [saying("Hi", { top_logprobs: 2 }), "top_logprobs"],
    [saying("Hi", { response_format: { type: "xml" } }), "response_format.type"],
    [saying("Hi", { eviction: "snapkv" }), "eviction"],
    [saying("Hi", { eviction: { budget: 9 } }), "eviction.policy"],
    [saying("Hi", { eviction: { policy: "snapkv", budget: 0 } }), "eviction.budget"],
  ];
  for (const [body, param] of cases) {
    const response = await app.post(PATH, body);
    const { error } = await response.json();
    assertEquals([response.status, error.param], [400, param], JSON.stringify(body));
    assertEquals(error.type, "invalid_request_error");
  }
  assertEquals(app.scheduler.requests, []);
});

Deno.test("images are refused, not ignored", async () => {
  const app = testApp();
  const content = [{ type: "image_url", image_url: { url: "data:," } }];
  const response = await app.post(PATH, { messages: [{ role: "user", content }] });
  const { error } = await response.json();
  assertEquals([response.status, error.code], [400, "unsupported_content"]);
});
