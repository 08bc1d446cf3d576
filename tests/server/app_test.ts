import { assert, assertEquals } from "@std/assert";
import { PolicyError, PromptError, StorageError } from "../../runtime/errors.ts";
import {
  ContextOverflowError,
  EngineError,
  GrammarError,
  OverloadedError,
  RequestTimeoutError,
  StoppingError,
} from "../../server/scheduler/errors.ts";
import { chunksOf, saying, testApp } from "./_test_app.ts";

const CHAT = "/v1/chat/completions";

async function errorOf(response: Response) {
  const { error } = await response.json();
  return { status: response.status, ...error };
}

Deno.test("bodies that are no JSON, too deep, too large or of another type are refused as such", async () => {
  const app = testApp(undefined, { maxBody: 2000 });
  const cases: readonly [BodyInit, number, string, string?][] = [
    ["{", 400, "invalid_json"],
    ["", 400, "invalid_json"],
    ["null", 400, "invalid_value"],
    ["[]", 400, "invalid_value"],
    [new Uint8Array([0x22, 0xff, 0x22]), 400, "invalid_json"],
    ["[".repeat(1000), 400, "too_deep"],
    [`{"a":"${"x".repeat(3000)}"}`, 413, "body_too_large"],
    ["{}", 415, "unsupported_media_type", "text/plain"],
    ["{}", 415, "unsupported_media_type", "application/x-www-form-urlencoded"],
  ];
  for (const [body, status, code, type = "application/json"] of cases) {
    const request = new Request(`http://localhost${CHAT}`, {
      method: "POST",
      body,
      headers: { "content-type": type, origin: "http://localhost" },
    });
    const error = await errorOf(await app.fetch(request));
    assertEquals([error.status, error.code], [status, code], String(body).slice(0, 50));
  }
  const deep = saying("[".repeat(500));
  assertEquals((await app.post(CHAT, deep)).status, 200, "brackets in a text are no depth");
});

Deno.test("what curl -d calls a form is read as JSON where no page sent it", async () => {
  const body = JSON.stringify(saying("hi"));
  const post = (headers: HeadersInit) =>
    testApp().fetch(new Request(`http://localhost${CHAT}`, { method: "POST", body, headers }));
  const form = { "content-type": "application/x-www-form-urlencoded" };
  assertEquals((await post(form)).status, 200);
  assertEquals((await post({ ...form, origin: "http://localhost" })).status, 415);
});

Deno.test("a body that is too large is not read to its end", async () => {
  const app = testApp(undefined, { maxBody: 1000 });
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      sent++;
      controller.enqueue(new Uint8Array(600).fill(32));
    },
  });
  const response = await app.post(CHAT, "", { body });
  assertEquals(response.status, 413);
  assert(sent < 10, `${sent} parts were taken`);
});

Deno.test("unknown paths are 404, other methods 405, both in OpenAI's form", async () => {
  const app = testApp();
  const nothing = await errorOf(await app.get("/v1/nothing"));
  assertEquals([nothing.status, nothing.code, nothing.param], [404, "not_found", null]);
  const response = await app.get(CHAT);
  assertEquals([response.status, response.headers.get("allow")], [405, "POST"]);
  const models = await app.post("/v1/models/some/model", {});
  assertEquals([models.status, models.headers.get("allow")], [405, "GET"]);
  assertEquals((await app.get("/v1/models/nope")).status, 404);
  assertEquals((await (await app.get("/api/nothing")).json()).error.slice(0, 8), "There is");
});

Deno.test("what a scheduler refuses has its status, type and code", async () => {
  const cases: readonly [Error, number, string, string | null][] = [
    [
      new ContextOverflowError("x", 9, 8),
      400,
      "exceed_context_size_error",
      "context_length_exceeded",
    ],
    [new OverloadedError("x", 2.5), 503, "unavailable_error", "overloaded"],
    [new EngineError("x"), 503, "unavailable_error", "engine_restarting"],
    [new StoppingError("x"), 503, "unavailable_error", "stopping"],
    [new RequestTimeoutError("x"), 504, "timeout_error", "timeout"],
    [new GrammarError("x"), 400, "invalid_request_error", "invalid_schema"],
    [new PolicyError("x"), 400, "invalid_request_error", "invalid_policy"],
    [new PromptError("x"), 400, "invalid_request_error", "invalid_prompt"],
    [new StorageError("x"), 507, "server_error", "storage_error"],
  ];
  for (const [refuse, status, type, code] of cases) {
    const app = testApp(() => ({ refuse }));
    for (const stream of [false, true]) {
      const response = await app.post(CHAT, saying("Hi", { stream }));
      const error = await errorOf(response);
      assertEquals([error.status, error.type, error.code, error.message], [
        status,
        type,
        code,
        "x",
      ]);
      if (status === 503) assert(Number(response.headers.get("retry-after")) >= 1);
    }
    assertEquals(app.logged, []);
  }
});

Deno.test("a failure of the server's own is logged, and nothing of it is told", async () => {
  const bug = new TypeError("secret is not a function");
  const app = testApp(() => ({ refuse: bug }));
  const error = await errorOf(await app.post(CHAT, saying("Hi")));
  assertEquals([error.status, error.message], [500, "The server failed; its log says more"]);
  assertEquals(app.logged, [bug]);
  const middle = testApp(() => ({ fail: { after: 1, error: bug } }));
  const chunks = await chunksOf(await middle.post(CHAT, saying("Hi", { stream: true })));
  assertEquals(chunks.at(-1)?.error?.code, "internal_error");
  assertEquals(middle.logged, [bug]);
});

Deno.test("an error in the middle of a stream is one of its events", async () => {
  const error = new PolicyError("the policy gave no scores");
  const app = testApp(() => ({ fail: { after: 1, error } }));
  const response = await app.post(CHAT, saying("Hi", { stream: true }));
  assertEquals(response.status, 200);
  const chunks = await chunksOf(response);
  assertEquals(chunks.at(-1)?.error, {
    message: "the policy gave no scores",
    type: "invalid_request_error",
    param: "eviction.policy",
    code: "invalid_policy",
  } as object);
});

Deno.test("with a key nothing is told without it but that the server lives", async () => {
  const app = testApp(undefined, { apiKeys: ["one", "two"] });
  for (const path of ["/v1/models", "/metrics", "/props", "/api/tags", "/nothing"]) {
    const response = await app.get(path);
    assertEquals(response.status, 401, path);
    assertEquals(response.headers.get("www-authenticate"), "Bearer");
  }
  for (const key of ["three", "on", "onee", "", "one two"]) {
    const headers = { authorization: `Bearer ${key}` };
    assertEquals((await app.get("/v1/models", { headers })).status, 401, key);
  }
  for (const key of ["one", "two"]) {
    const headers = { authorization: `Bearer ${key}` };
    assertEquals((await app.get("/v1/models", { headers })).status, 200);
    assertEquals((await app.get("/v1/models", { headers: { "x-api-key": key } })).status, 200);
  }
  assertEquals((await app.get("/health")).status, 200);
  const refused = await app.post(CHAT, "{".repeat(1000));
  assertEquals(refused.status, 401, "the body is not looked at before the key");
});

Deno.test("pages may ask where their origin is allowed", async () => {
  const app = testApp(undefined, { allowOrigins: ["https://a.example"] });
  const preflight = (origin: string) =>
    app.get(CHAT, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
      },
    });
  const allowed = await preflight("https://a.example");
  assertEquals(allowed.status, 204);
  assertEquals(allowed.headers.get("access-control-allow-origin"), "https://a.example");
  assertEquals(allowed.headers.get("access-control-allow-headers"), "authorization,content-type");
  const other = await preflight("https://b.example");
  assertEquals(other.headers.get("access-control-allow-origin"), null);
  const anybody = testApp(undefined, { allowOrigins: ["*"] });
  const reply = await anybody.get("/v1/models", { headers: { origin: "https://b.example" } });
  assertEquals(reply.headers.get("access-control-allow-origin"), "*");
});

Deno.test("a server of this machine answers to no foreign name", async () => {
  const app = testApp(undefined, { hosts: ["localhost", "127.0.0.1"] });
  const asking = (host: string) => app.get("/health", { headers: { host } });
  assertEquals((await asking("localhost:8080")).status, 200);
  assertEquals((await asking("evil.example:8080")).status, 403);
});

Deno.test("health is 503 while the model loads, and where it cannot be loaded", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const app = testApp(undefined, { ready: promise });
  const before = await app.get("/health");
  assertEquals([before.status, (await before.json()).status], [503, "loading"]);
  resolve();
  await promise;
  assertEquals(await (await app.get("/health")).json(), { status: "ok" });
  const broken = testApp(undefined, { ready: Promise.reject(new Error("no")) });
  await Promise.resolve();
  assertEquals((await (await broken.get("/health")).json()).status, "failed");
});

Deno.test("metrics count replies and times, and read the scheduler's numbers", async () => {
  const app = testApp();
  await app.post(CHAT, saying("Hi"));
  await app.post(CHAT, saying("Hi"));
  await app.get("/nothing");
  const response = await app.get("/metrics");
  assert(response.headers.get("content-type")?.startsWith("text/plain"));
  const text = await response.text();
  for (
    const line of [
      "kvjudge:num_requests_running 1",
      "kvjudge:num_requests_waiting 2",
      "kvjudge:kv_cache_usage_perc 0.5",
      "kvjudge:prefix_cache_queries 10",
      "kvjudge:prefix_cache_hits 4",
      "kvjudge:prompt_tokens_total 10",
      "kvjudge:generation_tokens_total 2",
      "kvjudge:time_to_first_token_seconds_count 2",
      "kvjudge:inter_token_latency_seconds_count 2",
      "kvjudge:e2e_request_latency_seconds_count 2",
      `kvjudge:http_replies_total{route="${CHAT}",status="200"} 2`,
      'kvjudge:http_replies_total{route="other",status="404"} 1',
    ]
  ) assert(text.includes(`\n${line}\n`), `${line}\n${text}`);
  const again = await (await app.get("/metrics")).text();
  assert(again.includes("\nkvjudge:prompt_tokens_total 10\n"), "counters are read, not added up");
});

Deno.test("tokens and texts are turned into each other, as llama.cpp does", async () => {
  const app = testApp();
  const tokens = await app.post("/tokenize", { content: "a bc", with_pieces: true });
  assertEquals(await tokens.json(), {
    tokens: [{ id: 1, piece: "a" }, { id: 3, piece: " bc" }],
  });
  const text = await app.post("/detokenize", { tokens: [1, 3] });
  assertEquals(await text.json(), { content: "<1><3>" });
  assertEquals((await app.post("/detokenize", { tokens: [99] })).status, 400);
  assertEquals((await app.post("/detokenize", { tokens: [-1] })).status, 400);
  const props = await (await app.get("/props")).json();
  assertEquals([props.total_slots, props.default_generation_settings.n_ctx], [2, 100]);
});

Deno.test("openapi.json describes every route, with the schemas that check bodies", async () => {
  const app = testApp();
  const { paths, openapi } = await (await app.get("/openapi.json")).json();
  assertEquals(openapi, "3.1.0");
  const chat = paths[CHAT].post.requestBody.content["application/json"].schema;
  assertEquals(chat.required, ["messages"]);
  assert("eviction" in chat.properties);
  assertEquals(Object.keys(paths["/v1/documents/{id}"]), ["get", "delete"]);
  assertEquals(paths["/v1/models/{id}"].get.parameters[0].name, "id");
});
