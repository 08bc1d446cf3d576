import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { loadPolicy } from "../../../plugins/load_policy.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import type { Policy } from "../../../policies/policy.ts";
import { readPrompt } from "../../../runtime/evict/read.ts";
import { PolicyError } from "../../../runtime/errors.ts";
import { selectKept } from "../../../runtime/evict/contract.ts";
import { noiseLayer } from "../../_fake_layer.ts";
import { newSequence, randomIds, tinyModel } from "../../_test_model.ts";
import { longEnoughToStart } from "../../_time_limit.ts";
import { serveModules } from "../_serve.ts";

/** For what never ends. */
const TIME_LIMIT = await longEnoughToStart();

const LAYER = noiseLayer({ heads: 4, kvHeads: 2, headDim: 8, length: 12, seed: 3 });

/** A plugin whose `score` has this body, in which `layer` is what it is given. */
const scorer = (body: string) =>
  `export default () => ({
    name: "stranger",
    evidence: { kind: "none" },
    async score(layer) { ${body} },
  });`;

/** One sentence: no stack, no control characters, not endless. */
function assertSentence(message: string): void {
  // deno-lint-ignore no-control-regex
  assertMatch(message, /^[^\x00-\x1f\x7f]{20,700}$/);
  assert(!/\bat .*:\d+:\d+\)/.test(message), message);
}

const LOADING: Readonly<Record<string, readonly [code: string, message: RegExp]>> = {
  "has no default export": ["export const x = 1;", /it has no default export; write 'export def/],
  "exports a number": ["export default 5;", /its default export must be a function, got number/],
  "has a syntax error": ["export default () => {{;", /SyntaxError: .*:1:\d+/],
  "throws when it is imported": ["throw new Error('boom');", /: boom$/],
  "throws something odd": ["export default () => { throw null; };", /: null$/],
  "returns no policy": ["export default () => 5;", /its factory must return an object .* got 5/],
  "has no name": ["export default () => ({});", /its 'name' must be snake_case/],
  "cannot score": [
    "export default () => ({ name: 'x', evidence: { kind: 'none' } });",
    /neither 'score' nor 'select'/,
  ],
  "wants evidence that does not exist": [
    "export default () => ({ name: 'x', evidence: { kind: 'all' }, score() {} });",
    /evidence's 'kind' must be one of 'none', 'window'.* got all/,
  ],
  "never ends its import": ["while (true);", /stopped: it was not made within \d+(\.\d+)? seconds/],
  "awaits for ever": [
    "await new Promise(() => {});",
    /ended|stopped: it was not made within \d/,
  ],
  "never returns": ["export default () => { while (true); };", /it was not made within \d/],
  "ends its process": ["export default () => Deno.exit(7);", /ended its process with exit code 7/],
  "imports an npm package": [
    "import x from 'npm:left-pad@1.3.0'; export default () => x;",
    /imports an npm package, which a policy in a sandbox cannot/,
  ],
  "imports from a third host": [
    "import 'http://127.0.0.1:1/x.ts'; export default () => x;",
    /it imports from 127\.0\.0\.1:1, and a policy in a sandbox imports from its own host/,
  ],
  "imports a local file": [
    "import 'file:///etc/hostname.ts'; export default () => x;",
    /Remote modules are not allowed to import local modules/,
  ],
  "throws a book": [
    "export default () => { throw new Error('\\u001b[31mno\\n' + 'x'.repeat(1e7)); };",
    /: no$/,
  ],
};

for (const [what, [code, message]] of Object.entries(LOADING)) {
  Deno.test(`loadPolicy() says in a sentence that a stranger's plugin ${what}`, async () => {
    const limits = /never|for ever/.test(what) ? { timeLimit: TIME_LIMIT } : {};
    await using server = serveModules({ "plugin.ts": code });
    const error = await assertRejects(
      () => loadPolicy(server.url("plugin.ts"), limits),
      PolicyError,
    );
    assertSentence(error.message);
    assertMatch(error.message, message);
    assert(error.message.includes(server.url("plugin.ts")), error.message);
  });
}

Deno.test("loadPolicy() says in a sentence that a URL answers 404, or not at all", async () => {
  await using server = serveModules({});
  const gone = await assertRejects(() => loadPolicy(server.url("gone.ts")), PolicyError);
  assertSentence(gone.message);
  assertMatch(gone.message, /Module not found .* \(the server answers 404\)/);
  const dead = await assertRejects(() => loadPolicy("http://127.0.0.1:1/x.ts"), PolicyError);
  assertSentence(dead.message);
  assertMatch(dead.message, /[Cc]onnection refused/);
});

const SCORING: Readonly<Record<string, readonly [body: string, message: RegExp]>> = {
  "throws": ["throw new Error('boom');", /^Policy 'stranger' failed in layer 0: boom$/],
  "throws a book": ["throw new Error('x'.repeat(1e7));", /: x{300}…$/],
  "throws an error that is none": ["throw { toString: 5 };", /failed in layer 0: ./],
  "gives too few scores": [
    "return new Float32Array(5);",
    /'score' must give a Float32Array of 2 × 12 = 24 numbers, got 5 numbers/,
  ],
  "gives NaN": [
    "return new Float32Array(24).fill(NaN, 17);",
    /score of token 5 for KV head 1 is NaN/,
  ],
  "gives a list": ["return Array.from({ length: 24 }, () => 1);", /got Array/],
  "gives nothing": ["", /got Undefined/],
  "gives endless text": ["return 'x'.repeat(1e8);", /it gives \d+ bytes of text/],
  "gives too many numbers": [
    "return new Float32Array(3e8);",
    /Array buffer allocation failed|1200000000 bytes of numbers at once/,
  ],
  "hangs": ["while (true);", /was stopped: it gave no scores within \d\S* seconds; make it faster/],
  "never settles": ["await new Promise(() => {});", /was stopped: it gave no scores within \d/],
  "asks again and again": [
    "while (true) await layer.keys();",
    /was stopped: it gave no scores within \d/,
  ],
  "asks for everything at once": [
    "await Promise.all(Array.from({ length: 1000 }, () => layer.keys()));",
    /it asks for too much at the same time/,
  ],
  "takes all memory of the heap": [
    "const all = []; while (true) all.push(Array(1e5).fill(Math.random()));",
    /most likely because it took more than 256 MiB/,
  ],
  "ends its process": ["Deno.exit(0);", /it ended its process with exit code 0/],
  "writes over its answers": [
    "await Deno.stdout.write(new TextEncoder().encode('hello, world')); await new Promise(() => {});",
    /writes to its standard output, which carries its answers/,
  ],
  "asks for evidence that it did not declare": [
    "return await layer.groupAttention();",
    /no attention/,
  ],
};

for (const [what, [body, message]] of Object.entries(SCORING)) {
  Deno.test(`a stranger's policy that ${what} is one sentence, and the process goes on`, async () => {
    await using server = serveModules({ "plugin.js": scorer(body) });
    const limits = {
      memoryLimit: 256 * 2 ** 20,
      timeLimit: /hangs|settles|again/.test(what) ? TIME_LIMIT : 60_000,
    };
    await using loaded = await loadPolicy(server.url("plugin.js"), limits);
    const view = what.startsWith("asks for evidence") ? noAttention() : LAYER;
    const error = await assertRejects(() => selectKept(loaded.policy, view, 4));
    assert(error instanceof Error);
    assertSentence(error.message);
    assertMatch(error.message, message);
    assertEquals((await selectKept(snapKv({ window: 2 }), LAYER, 4)).length, 2);
  });
}

function noAttention() {
  const refuse = () => Promise.reject(new Error("there is no attention"));
  return { ...LAYER, attention: refuse, groupAttention: refuse };
}

Deno.test({
  name: "a stranger's policy that takes all memory in arrays gets no more than its share",
  // Elsewhere only JavaScript's heap is held to the limit.
  ignore: Deno.build.os !== "linux",
  async fn() {
    const body = `const all = [];
      try { while (true) all.push(new Float32Array(25e6).fill(1)); }
      catch (error) { throw new Error(all.length * 100 + " MB, then: " + error.message); }`;
    await using server = serveModules({ "plugin.js": scorer(body) });
    await using loaded = await loadPolicy(server.url("plugin.js"), {
      memoryLimit: 512 * 2 ** 20,
    });
    const error = await assertRejects(() => selectKept(loaded.policy, LAYER, 4), PolicyError);
    const [, megabytes] = /(\d+) MB, then: Array buffer allocation failed/.exec(error.message) ??
      [];
    assert(Number(megabytes) > 100 && Number(megabytes) < 1200, error.message);
  },
});

/** Keeps what the honest policy keeps, after writing all over what it was given. */
const VANDAL = `export default ({ failing = false } = {}) => ({
  name: "vandal",
  evidence: { kind: "window", size: 4 },
  async score(layer) {
    const scores = Float32Array.from(await layer.groupAttention());
    const given = [layer.positions, ...await Promise.all([layer.keys(), layer.values(), layer.attention()])];
    for (const array of given) array.fill(7);
    if (failing && layer.layer === layer.layers - 1) throw new Error("spite");
    return scores;
  },
});`;

const HONEST: Policy = {
  name: "honest",
  evidence: { kind: "window", size: 4 },
  score: (layer) => layer.groupAttention(),
};

Deno.test("a stranger's policy cannot leave a changed cache behind", async () => {
  await using server = serveModules({ "vandal.js": VANDAL });
  await using test = await tinyModel("tiny-llama");
  const { engine, facts } = test.model;
  const ids = randomIds(40, engine.config.vocabulary);
  const read = async (policy: Policy, budget: number) => {
    const sequence = newSequence(engine);
    const request = { engine, sequence, ids, policy, budget, facts: await facts(), chunk: 16 };
    // With scores the attention is observed at a full budget too, in the same chunks.
    const failure = await readPrompt({ ...request, scores: true, now: () => 0 }).then(
      ({ kept }) => ({ kept, error: undefined }),
      (error: unknown) => ({ kept: undefined, error }),
    );
    const layers = Array.from({ length: engine.config.layers }, (_, layer) => ({
      keys: sequence.cache.keys(layer).slice(),
      values: sequence.cache.values(layer).slice(),
      positions: sequence.cache.positions(layer).slice(),
    }));
    return { ...failure, layers, cache: sequence.cache };
  };
  {
    await using vandal = await loadPolicy(server.url("vandal.js"));
    const honest = await read(HONEST, 12);
    const spoilt = await read(vandal.policy, 12);
    assertEquals(spoilt.kept, honest.kept);
    assertEquals(spoilt.layers, honest.layers);
    honest.cache[Symbol.dispose]();
    spoilt.cache[Symbol.dispose]();
  }
  await using failing = await loadPolicy(`${server.url("vandal.js")}(failing=true)`);
  const whole = await read(HONEST, ids.length);
  const failed = await read(failing.policy, 12);
  assertMatch(String(failed.error), /Policy 'vandal' failed in layer \d+: spite/);
  assertEquals(failed.layers, whole.layers);
  whole.cache[Symbol.dispose]();
  failed.cache[Symbol.dispose]();
});

Deno.test("a stranger's policy that was stopped says so when it is asked again", async () => {
  await using server = serveModules({ "plugin.js": scorer("while (true);") });
  await using loaded = await loadPolicy(server.url("plugin.js"), { timeLimit: TIME_LIMIT });
  const ask = () => selectKept(loaded.policy, LAYER, 4);
  await assertRejects(ask, PolicyError, "was stopped: it gave no scores");
  await assertRejects(ask, PolicyError, "was stopped: it gave no scores");
});

Deno.test("a stranger's policy that is closed says so", async () => {
  await using server = serveModules({ "plugin.js": scorer("return new Float32Array(24);") });
  const loaded = await loadPolicy(server.url("plugin.js"));
  await loaded[Symbol.asyncDispose]();
  await assertRejects(() => selectKept(loaded.policy, LAYER, 4), PolicyError, "is closed; load it");
});
