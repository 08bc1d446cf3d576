import { assert, assertEquals } from "@std/assert";
import { PromptError } from "../../../runtime/errors.ts";
import { eventsOf, testApp } from "../_test_app.ts";

const PATH = "/v1/completions";

Deno.test("a text is gone on with in OpenAI's form, 16 tokens unless asked for more", async () => {
  const app = testApp();
  const response = await app.post(PATH, { prompt: "Once" });
  const { choices, object, usage, id } = await response.json();
  assertEquals([id, object, usage.total_tokens], ["cmpl-id0", "text_completion", 12]);
  assertEquals(choices, [{ text: "Hello there", index: 0, logprobs: null, finish_reason: "stop" }]);
  const [request] = app.scheduler.requests;
  assertEquals(request?.prompt, { kind: "text", text: "Once", special: false });
  assertEquals(request?.maxTokens, 16);
});

Deno.test("prompts are texts or ids, one or several, and answers count on through them", async () => {
  const app = testApp(({ prompt }) => ({
    answers: [[prompt.kind === "ids" ? prompt.ids.join("+") : "a"], ["b"]],
  }));
  const texts = async (body: object) => {
    const { choices } = await (await app.post(PATH, body)).json();
    return choices.map(({ index, text }: { index: number; text: string }) => `${index}${text}`);
  };
  assertEquals(await texts({ prompt: [1, 2] }), ["01+2"]);
  assertEquals(await texts({ prompt: [[1], [2, 3]] }), ["01", "12+3"]);
  assertEquals(await texts({ prompt: ["x", "y", "z"], n: 2 }), [
    "0a",
    "1b",
    "2a",
    "3b",
    "4a",
    "5b",
  ]);
});

Deno.test("usage of several prompts is their sum", async () => {
  const app = testApp();
  const { usage, ...reply } = await (await app.post(PATH, { prompt: ["x", "y"] })).json();
  assertEquals(usage, {
    prompt_tokens: 20,
    completion_tokens: 4,
    total_tokens: 24,
    prompt_tokens_details: { cached_tokens: 8 },
  });
  assert(!("kvjudge" in reply));
});

Deno.test("a prompt that fails ends the others", async () => {
  const app = testApp(({ prompt }) =>
    prompt.kind === "text" && prompt.text === "bad"
      ? { refuse: new PromptError("no") }
      : { hang: "decoding" }
  );
  const response = await app.post(PATH, { prompt: ["good", "bad"] });
  assertEquals([response.status, (await response.json()).error.message], [400, "no"]);
  assertEquals(app.scheduler.cancelled.length, 1);
});

Deno.test("echo puts the prompt in front, of ids too", async () => {
  const app = testApp();
  const text = async (body: object) =>
    (await (await app.post(PATH, { echo: true, ...body })).json()).choices[0].text;
  assertEquals(await text({ prompt: "Once: " }), "Once: Hello there");
  assertEquals(await text({ prompt: [1, 2] }), "<1><2>Hello there");
});

Deno.test("log probabilities have OpenAI's older form, those of an echo too", async () => {
  const app = testApp();
  const body = { prompt: "Once upon", logprobs: 2, echo: true };
  const { choices: [{ logprobs }] } = await (await app.post(PATH, body)).json();
  assertEquals(logprobs, {
    tokens: ["Once", " upon", "Hello", " there"],
    token_logprobs: [null, -1, -0.5, -0.5],
    top_logprobs: [null, {}, { Hello: -0.5, Hello1: -1.5 }, { " there": -0.5, " there1": -1.5 }],
    text_offset: [0, 4, 9, 14],
  });
});

Deno.test("a stream: echo, text, end with the report, usage, [DONE]", async () => {
  const app = testApp();
  const body = {
    prompt: ["x", "y"],
    echo: true,
    stream: true,
    stream_options: { include_usage: true },
  };
  const events = await eventsOf(await app.post(PATH, body));
  assertEquals(events.pop(), "[DONE]");
  const chunks = events as {
    readonly choices: readonly { readonly index: number; readonly text: string }[];
    readonly usage: { readonly total_tokens: number } | null;
  }[];
  const texts = [0, 1].map((wanted) =>
    chunks.flatMap(({ choices }) => choices)
      .filter(({ index }) => index === wanted).map(({ text }) => text).join("")
  );
  assertEquals(texts, ["xHello there", "yHello there"]);
  assertEquals(chunks.at(-1)?.choices, []);
  assertEquals(chunks.at(-1)?.usage?.total_tokens, 24);
  assertEquals(chunks.filter((chunk) => "kvjudge" in chunk).length, 2);
});

Deno.test("what cannot be done is refused by name", async () => {
  const app = testApp();
  const cases: readonly [object, string][] = [
    [{ prompt: "x", suffix: "y" }, "suffix"],
    [{ prompt: "x", best_of: 2 }, "best_of"],
    [{ prompt: "x", max_tokens: 0 }, "max_tokens"],
    [{ prompt: [] }, "prompt"],
    [{ prompt: Array(200).fill("x") }, "prompt"],
    [{ prompt: { a: 1 } }, "prompt"],
    [{ prompt: [1.5] }, "prompt"],
    [{}, "prompt"],
    [{ prompt: "x", logprobs: 50 }, "logprobs"],
  ];
  for (const [body, param] of cases) {
    const response = await app.post(PATH, body);
    const { error } = await response.json();
    assertEquals(response.status, 400, JSON.stringify(body));
    assertEquals(error.param.split("[")[0], param);
  }
  assertEquals((await app.post(PATH, { prompt: "x", suffix: null, best_of: 1 })).status, 200);
  assertEquals((await app.post(PATH, { prompt: "x", max_tokens: 0, echo: true })).status, 200);
});
