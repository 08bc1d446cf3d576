/**
 * Failures that users of other servers reported, each by its name, on a real model: a random one, whose
 * answers are full of halves of characters.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { createApp } from "../../server/app.ts";
import { createBatchScheduler } from "../../server/scheduler/batch_scheduler.ts";
import { createServices } from "../../server/server.ts";
import { testFolder, textModel } from "../commands/_run_cli.ts";
import { fixture } from "../_test_model.ts";
import { testOptions } from "./scheduler/_test_scheduler.ts";
import { type ChatChunk, chunksOf, eventsOf, saying } from "./_test_app.ts";
import { until } from "./clients/_until.ts";

const CHAT = "/v1/chat/completions";
const TEXT = "/v1/completions";

/** A served model, without a socket. */
async function served(source: string) {
  const options = testOptions({ models: [{ id: "real", source }], now: () => Date.now() });
  const scheduler = createBatchScheduler(options);
  const logged: unknown[] = [];
  const services = createServices(scheduler, {
    eviction: { policy: false, budget: 512 },
    allowPolicies: [],
    version: "1",
    log: (error) => void logged.push(error),
  });
  const app = createApp(services, { apiKeys: [], allowOrigins: [], maxBody: 2 ** 20 });
  await scheduler.ready;
  const post = async (path: string, body: object, signal?: AbortSignal) =>
    await app.fetch(
      new Request(`http://localhost${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ temperature: 0, ...body }),
        ...(signal ? { signal } : {}),
      }),
    );
  return {
    scheduler,
    post,
    text: async (body: object): Promise<string> =>
      (await (await post(TEXT, body)).json()).choices[0].text,
    async [Symbol.asyncDispose]() {
      await scheduler.close();
      assertEquals(logged, []);
    },
  };
}

/** The same on a random model that reads bytes. */
async function servedText(template?: string) {
  const folder = testFolder();
  const path = await textModel(folder.path);
  if (template !== undefined) {
    const settings = JSON.stringify({ chat_template: template });
    await Deno.writeTextFile(`${path}/tokenizer_config.json`, settings);
  }
  const server = await served(path);
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** The text of a streamed completion, piece by piece. */
async function pieces(response: Response): Promise<string[]> {
  const events = await eventsOf(response);
  assertEquals(events.pop(), "[DONE]");
  return (events as { readonly choices: readonly { readonly text: string }[] }[])
    .flatMap(({ choices }) => choices).map(({ text }) => text);
}

Deno.test("disconnect does not cancel: it does, while queued, reading or decoding, streamed or not", async () => {
  await using server = await servedText();
  for (const stream of [true, false]) {
    const leaving = new AbortController();
    const body = { prompt: "Once upon a time", max_tokens: 400, stream };
    // Twice as many as run at once: half of them wait.
    const asked = Array.from({ length: 8 }, async () => {
      const response = await server.post(TEXT, body, leaving.signal);
      return await response.text();
    });
    await until(() => server.scheduler.stats().waiting > 0);
    leaving.abort();
    await Promise.allSettled(asked);
    await until(() => {
      const { running, waiting } = server.scheduler.stats();
      return running + waiting === 0;
    });
  }
  const { generationTokens } = server.scheduler.stats();
  assert(generationTokens < 8 * 400, `${generationTokens} tokens were written for nobody`);
});

Deno.test("stop texts that are split over tokens leak or swallow text: neither, wherever they begin", async () => {
  await using server = await servedText();
  const body = { prompt: "Stop here", max_tokens: 60 };
  const whole = await server.text(body);
  assert(whole.length > 20, whole);
  for (const [from, to] of [[3, 4], [5, 9], [8, 16], [1, 15]] as const) {
    const stop = whole.slice(from, to);
    const wanted = whole.slice(0, whole.indexOf(stop));
    const reply = await (await server.post(TEXT, { ...body, stop })).json();
    assertEquals(reply.choices[0].text, wanted);
    assertEquals(reply.choices[0].finish_reason, "stop");
    const streamed = await pieces(await server.post(TEXT, { ...body, stop, stream: true }));
    assertEquals(streamed.join(""), wanted);
  }
  const absent = { ...body, stop: [`${whole.slice(-3)}never`] };
  assertEquals(await server.text(absent), whole, "the beginning of a stop text was swallowed");
});

Deno.test("half characters: no piece of a stream ends in one", async () => {
  await using server = await servedText();
  const body = { prompt: "ÄÖÜ 東京 🙂", max_tokens: 120, temperature: 1 };
  for (const seed of [1, 2, 3]) {
    const whole = await server.text({ ...body, seed });
    const streamed = await pieces(await server.post(TEXT, { ...body, seed, stream: true }));
    assertEquals(streamed.join(""), whole);
    assert(streamed.every((piece) => piece.isWellFormed()));
  }
});

Deno.test("greedy answers differ under load: they are those of one after the other", async () => {
  await using server = await servedText();
  const bodies = Array.from({ length: 8 }, (_, at) => ({
    prompt: `Question ${at}: ${"why? ".repeat(at * 5)}`,
    max_tokens: 24,
    ...(at % 2 === 0 ? {} : { eviction: { policy: "snapkv(window=4)", budget: 16 } }),
  }));
  const alone: string[] = [];
  for (const body of bodies) alone.push(await server.text(body));
  assertEquals(await Promise.all(bodies.map(server.text)), alone);
});

Deno.test("seed ignored: the same one repeats, another one does not, answers of one request differ", async () => {
  await using server = await servedText();
  const body = { prompt: "Once", max_tokens: 20, temperature: 1.5 };
  const texts = async (seed: number) => {
    const { choices } = await (await server.post(TEXT, { ...body, seed, n: 3 })).json();
    return choices.map(({ text }: { readonly text: string }) => text);
  };
  const first = await texts(11);
  assertEquals(await texts(11), first);
  assertNotEquals(await texts(99), first);
  assertEquals(new Set(first).size, 3);
});

Deno.test("silent truncation: a prompt that is too long is refused with its size, an answer says that it was cut", async () => {
  await using server = await servedText();
  const response = await server.post(TEXT, { prompt: "x".repeat(2000) });
  const { error } = await response.json();
  assertEquals([response.status, error.type], [400, "exceed_context_size_error"]);
  assertEquals(error.n_ctx, 512);
  assert(error.n_prompt_tokens > 512);
  const streamed = await server.post(CHAT, saying("y".repeat(2000), { stream: true }));
  assertEquals(streamed.status, 400, "a stream is refused before it begins");
  const cut = await (await server.post(TEXT, { prompt: "x".repeat(500), max_tokens: 100 })).json();
  assertEquals(cut.choices[0].finish_reason, "length");
});

Deno.test("doubled BOS on /v1/completions with a template: there is one, however the text begins", async () => {
  using folder = testFolder();
  const path = await textModel(folder.path);
  // Its second control token opens texts, and the template prints it too.
  const bos = "<|begin|>";
  const template =
    `{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}`;
  const settings = { bos_token: bos, add_bos_token: true, chat_template: template };
  await Deno.writeTextFile(`${path}/tokenizer_config.json`, JSON.stringify(settings));
  await using server = await served(path);
  const tokens = async (body: object): Promise<readonly string[]> => {
    const asked = { max_tokens: 1, echo: true, logprobs: 0, ...body };
    const { choices, usage } = await (await server.post(TEXT, asked)).json();
    return choices[0].logprobs.tokens.slice(0, usage.prompt_tokens);
  };
  const plain = await tokens({ prompt: "Once upon" });
  const written = await tokens({ prompt: `${bos}Once upon`, parse_special: true });
  assertEquals(plain.filter((token) => token === bos), [bos]);
  assertEquals(written, plain);
  const size = async (path: string, body: object): Promise<number> => {
    const { usage } = await (await server.post(path, { max_tokens: 1, ...body })).json();
    return usage.prompt_tokens;
  };
  const asChat = await size(CHAT, saying("Once upon"));
  assertEquals(await size(TEXT, { prompt: "[user]Once upon" }), asChat);
});

Deno.test("500 for a system message that the template refuses: it is said with the user's", async () => {
  const strict = "{% for m in messages %}{% if m.role == 'system' %}" +
    "{{ raise_exception('no system role') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}";
  await using server = await servedText(strict);
  const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "Hi" }];
  const response = await server.post(CHAT, { messages, max_tokens: 2 });
  assertEquals(response.status, 200, await response.text());
  await using refusing = await servedText("{{ raise_exception('nothing pleases me') }}");
  const refused = await refusing.post(CHAT, { messages, max_tokens: 2 });
  const { error } = await refused.json();
  assertEquals([refused.status, error.code], [400, "invalid_prompt"]);
  assert(error.message.includes("nothing pleases me"));
});

Deno.test("prefix reuse lost with sliding windows: what was read is found, and answered the same", async () => {
  await using server = await served(fixture("tiny-mistral-window"));
  // What is shared are whole chunks of 256 tokens, and prompts that are the same to their end.
  const ids = Array.from({ length: 300 }, (_, at) => at % 90 + 5);
  const body = { max_tokens: 6, prompt: ids, logprobs: 0 };
  const tokens = async (prompt: readonly number[]) => {
    const { choices, usage } = await (await server.post(TEXT, { ...body, prompt })).json();
    return {
      logprobs: choices[0].logprobs.token_logprobs,
      cached: usage.prompt_tokens_details.cached_tokens,
    };
  };
  const first = await tokens(ids);
  const again = await tokens(ids);
  assertEquals([first.cached, again.logprobs], [0, first.logprobs]);
  assert(again.cached >= 256, `${again.cached} of 300 tokens were found`);
  const longer = await tokens([...ids, 7, 8, 9]);
  assert(longer.cached >= 256, `${longer.cached} of 303 tokens were found`);
});

Deno.test("usage wrong with n > 1: the prompt counts once, every answer's tokens count", async () => {
  await using server = await servedText();
  const one = await (await server.post(CHAT, saying("Hi", { max_tokens: 5 }))).json();
  const three = await (await server.post(CHAT, saying("Hi", { max_tokens: 5, n: 3 }))).json();
  assertEquals(three.usage.prompt_tokens, one.usage.prompt_tokens);
  assertEquals([one.usage.completion_tokens, three.usage.completion_tokens], [5, 15]);
  const body = saying("Hi", {
    max_tokens: 5,
    n: 3,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks: readonly ChatChunk[] = await chunksOf(await server.post(CHAT, body));
  assertEquals(chunks.at(-1)?.usage?.total_tokens, three.usage.total_tokens);
});

Deno.test("JSON schema: every answer keeps to it, whatever the model would rather say", async () => {
  await using server = await servedText();
  const schema = {
    type: "object",
    properties: { sort: { enum: ["cat", "dog"] }, old: { type: "boolean" } },
    required: ["sort", "old"],
    additionalProperties: false,
  };
  const response_format = { type: "json_schema", json_schema: { name: "pet", schema } };
  for (const seed of [1, 2, 3]) {
    const body = saying("A pet?", { response_format, temperature: 1, seed, max_tokens: 200 });
    const { choices: [choice] } = await (await server.post(CHAT, body)).json();
    const pet = JSON.parse(choice.message.content);
    assertEquals(Object.keys(pet).sort(), ["old", "sort"]);
    assert(["cat", "dog"].includes(pet.sort) && typeof pet.old === "boolean");
    assertEquals(choice.finish_reason, "stop");
  }
  const broken = { type: "json_schema", json_schema: { schema: { type: "nothing" } } };
  const refused = await server.post(CHAT, saying("A pet?", { response_format: broken }));
  const { error } = await refused.json();
  assertEquals([refused.status, error.param], [400, "response_format"]);
});

Deno.test("tools that are required are called, with arguments that keep to their schema", async () => {
  await using server = await servedText();
  const parameters = {
    type: "object",
    properties: { loud: { type: "boolean" } },
    required: ["loud"],
    additionalProperties: false,
  };
  const tools = [{ type: "function", function: { name: "bark", parameters } }];
  for (const stream of [false, true]) {
    const more = { tools, tool_choice: "required", parallel_tool_calls: false, max_tokens: 200 };
    const response = await server.post(CHAT, saying("Bark!", { ...more, stream }));
    const calls = stream
      ? (await chunksOf(response)).flatMap(({ choices }) =>
        choices.flatMap(({ delta }) => delta.tool_calls ?? [])
      )
      : (await response.json()).choices[0].message.tool_calls;
    const functions: { readonly name?: string; readonly arguments: string }[] = calls
      .map((call: { readonly function: object }) => call.function);
    assertEquals(functions.length > 1, stream, "its arguments are streamed as they are made");
    assertEquals(functions.flatMap(({ name }) => name ?? []), ["bark"]);
    const given = functions.map((call) => call.arguments).join("");
    assertEquals(typeof JSON.parse(given).loud, "boolean");
  }
});
