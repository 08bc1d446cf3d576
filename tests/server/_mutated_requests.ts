import fc from "npm:fast-check@4.10.2";

/** A request that nearly is in order. */
export interface MutatedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer> | undefined;
}

const MESSAGES = [
  { role: "system", content: "Be brief." },
  { role: "user", content: [{ type: "text", text: "Hi" }] },
  {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "c", type: "function", function: { name: "look", arguments: "{}" } }],
  },
  { role: "tool", tool_call_id: "c", content: "a door" },
];
const TOOLS = [{
  type: "function",
  function: { name: "look", description: "Looks", parameters: { type: "object", properties: {} } },
}];
const SCHEMA = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };

/** Requests that are in order. */
const REQUESTS: readonly (readonly [string, string, unknown])[] = [
  ["POST", "/v1/chat/completions", {
    model: "fake",
    messages: MESSAGES,
    max_tokens: 3,
    temperature: 0.5,
    top_p: 0.9,
    n: 2,
    seed: 1,
    stop: ["x"],
    stream: true,
    stream_options: { include_usage: true },
    logprobs: true,
    top_logprobs: 2,
    logit_bias: { "5": 1 },
    tools: TOOLS,
    tool_choice: { type: "function", function: { name: "look" } },
  }],
  ["POST", "/v1/chat/completions", {
    messages: [MESSAGES[1]],
    max_tokens: 3,
    eviction: {
      policy: "snapkv(window=8)",
      budget: "50%",
      protect: [[0, 2]],
      while_reading: { every: 16, keep: 64 },
      while_decoding: true,
    },
    response_format: { type: "json_schema", json_schema: { name: "x", schema: SCHEMA } },
    explain: true,
    timeout: 5,
    document: "doc-1",
  }],
  ["POST", "/v1/completions", { prompt: ["Once", "upon"], max_tokens: 2, echo: true, logprobs: 1 }],
  ["POST", "/v1/completions", { prompt: [[1, 2], [3]], max_tokens: 2, stream: true, best_of: 1 }],
  ["POST", "/v1/responses", {
    input: [{ role: "user", content: [{ type: "input_text", text: "Hi" }] }],
    instructions: "Be brief.",
    max_output_tokens: 3,
    text: { format: { type: "json_schema", name: "x", schema: SCHEMA } },
  }],
  ["POST", "/v1/documents", { text: "A story.", name: "x", system: "y", eviction: false }],
  ["POST", "/tokenize", { content: "Hi", with_pieces: true }],
  ["POST", "/detokenize", { tokens: [1, 2, 3] }],
  ["POST", "/api/chat", {
    model: "fake",
    messages: [{ role: "user", content: "Hi" }],
    options: { num_predict: 2, temperature: 0, stop: "x" },
    tools: TOOLS,
    stream: false,
  }],
  ["POST", "/api/generate", {
    model: "fake",
    prompt: "Hi",
    raw: true,
    format: SCHEMA,
    options: { num_predict: 2 },
  }],
  ["POST", "/api/show", { model: "fake" }],
  ["GET", "/v1/models/fake", undefined],
  ["DELETE", "/v1/documents/doc-1", undefined],
];

/** Values that belong nowhere. */
const ODD = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    0.5,
    1e308,
    -1e308,
    2 ** 31,
    2 ** 53,
    "",
    "x",
    "\ud800",
    "\u0000",
    "x".repeat(5000),
    [],
    {},
    [[]],
    [null],
    { __proto__: null },
    JSON.parse('{"__proto__": {"a": 1}, "constructor": 1}'),
    "snapkv(",
    "judge_q(softTokens=/etc/passwd)",
    "/etc/passwd.ts",
    "<|im_end|>",
    Array(300).fill(0),
  ),
  fc.json({ maxDepth: 4 }).map((text): unknown => JSON.parse(text)),
  fc.integer(),
  fc.double(),
  fc.string(),
);

/** What is done to a body. */
const CHANGE = fc.record({
  /** Which of all its places, counted through. */
  place: fc.nat(200),
  how: fc.constantFrom("replace", "delete", "double", "nest", "rename"),
  odd: ODD,
});

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Changes one place of a body, in place. */
function change(
  root: Record<string, unknown>,
  { place, how, odd }: { readonly place: number; readonly how: string; readonly odd: unknown },
): void {
  const places: [Record<string, unknown>, string][] = [];
  const walk = (value: Record<string, unknown>): void => {
    for (const key of Object.keys(value)) {
      places.push([value, key]);
      const inner = value[key];
      if (isContainer(inner)) walk(inner);
    }
  };
  walk(root);
  const [parent, key] = places[place % Math.max(1, places.length)] ?? [];
  if (!parent || key === undefined) return;
  if (how === "replace") parent[key] = odd;
  if (how === "delete") delete parent[key];
  if (how === "double") parent[key] = [parent[key], parent[key]];
  if (how === "nest") parent[key] = { [key]: parent[key] };
  if (how === "rename") {
    parent[`${key}_`] = parent[key];
    delete parent[key];
  }
}

/** Something, once in a while. */
function rarely<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ arbitrary: fc.constant(undefined), weight: 12 }, { arbitrary, weight: 1 });
}

/** Requests that were in order before something happened to them. */
export const MUTATED: fc.Arbitrary<MutatedRequest> = fc.record({
  base: fc.constantFrom(...REQUESTS),
  changes: fc.array(CHANGE, { maxLength: 3 }),
  bytes: rarely(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 })),
  method: rarely(fc.constantFrom("GET", "POST", "PUT", "DELETE", "PATCH")),
  type: rarely(fc.constantFrom("text/plain", "", "application/json; charset=latin1")),
}).map(({ base: [method, path, body], changes, bytes, method: other, type }) => {
  const copy: unknown = structuredClone(body);
  if (isContainer(copy)) { for (const one of changes) change(copy, one); }
  const encoded = copy === undefined
    ? undefined
    : new TextEncoder().encode(JSON.stringify(copy) ?? "null");
  for (const [at, value] of encoded ? bytes ?? [] : []) {
    if (encoded) encoded[at % encoded.length] = value;
  }
  const asked = other ?? method;
  return {
    method: asked,
    path,
    headers: { "content-type": type ?? "application/json" },
    body: ["GET", "HEAD"].includes(asked) ? undefined : encoded,
  };
});

/**
 * Sends a request and looks at the reply.
 *
 * @throws If it is a failure of the server's own, is no reply in form, or takes too long.
 */
export async function checkReply(
  fetch: (request: Request) => Response | Promise<Response>,
  { method, path, headers, body }: MutatedRequest,
  limit = 60_000,
): Promise<number> {
  const request = new Request(`http://localhost${path}`, {
    method,
    headers,
    ...(body ? { body } : {}),
  });
  const late = AbortSignal.timeout(limit);
  const { status, text } = await Promise.race([
    Promise.resolve(fetch(request)).then(async (reply) => ({
      status: reply.status,
      text: await reply.text(),
    })),
    new Promise<never>((_, reject) =>
      late.addEventListener("abort", () => reject(new Error("no reply")))
    ),
  ]);
  if (status >= 500 && status !== 503) throw new Error(`status ${status}: ${text}`);
  if (text.includes("internal_error")) throw new Error(`a failure in the stream: ${text}`);
  if (status >= 400) {
    const { error } = JSON.parse(text);
    const said = typeof error === "string" ? error : error.message;
    if (typeof said !== "string" || said === "") throw new Error(`no error in form: ${text}`);
  }
  return status;
}
