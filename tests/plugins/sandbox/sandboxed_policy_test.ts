import { assert, assertEquals, assertRejects } from "@std/assert";
import { POLICY_MEMBERS } from "../../../policies/contract/members.ts";
import { loadPolicy } from "../../../plugins/load_policy.ts";
import { judgeQ } from "../../../policies/judge_q.ts";
import type { ModelFacts, ScorerPolicy } from "../../../policies/policy.ts";
import { OptionError } from "../../../policies/policy.ts";
import { pyramidKv } from "../../../policies/pyramidkv.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { PolicyError } from "../../../runtime/errors.ts";
import { selectKept } from "../../../runtime/evict/contract.ts";
import { keepPerLayer } from "../../../runtime/evict/allocate.ts";
import { fixture } from "../../_test_model.ts";
import { noiseLayer } from "../../_fake_layer.ts";
import { longEnoughToStart } from "../../_time_limit.ts";
import { serveModules } from "../_serve.ts";

const LAYER = noiseLayer({ heads: 4, kvHeads: 2, headDim: 8, length: 24, seed: 3 });

/** Every kind of member that a policy can have, in a class. */
const WHOLE = `class Whole {
  name = "whole";
  paper = "https://example.org";
  evidence = { kind: "window", size: 3 };
  constructor(options) { this.options = options; }
  protect(keep, length) { return { sinks: keep > 6 ? 2 : 0, recent: length > 20 ? 1 : 0 }; }
  allocate({ layers, budget }) {
    return Array.from({ length: layers }, (_, layer) => budget + (layer === 0 ? layers - 1 : -1));
  }
  async score(layer) {
    console.log("layer", layer.layer, { heads: layer.heads });
    const attention = await layer.groupAttention();
    return attention.map((paid) => paid * this.options.factor);
  }
}
export default (options) => new Whole(options);`;

Deno.test("loadPolicy() gives a stranger's policy all that a policy can have", async () => {
  await using server = serveModules({ "whole.js": WHOLE });
  const printed: string[] = [];
  const onPrint = (line: string) => printed.push(line);
  await using loaded = await loadPolicy(`${server.url("whole.js")}(factor=2)`, { onPrint });
  const { policy } = loaded;
  const { name, paper, evidence, options } = policy;
  assertEquals({ name, paper, evidence, options }, {
    name: "whole",
    paper: "https://example.org",
    evidence: { kind: "window", size: 3 },
    options: { factor: 2 },
  });
  const twin: ScorerPolicy = {
    name: "twin",
    evidence: { kind: "window", size: 3 },
    protect: (keep) => ({ sinks: keep > 6 ? 2 : 0, recent: 1 }),
    score: (layer) => layer.groupAttention(),
  };
  for (const keep of [4, 8]) {
    assertEquals(await selectKept(policy, LAYER, keep), await selectKept(twin, LAYER, keep));
  }
  const shape = { layers: 3, kvHeads: 2, headDim: 8 };
  assertEquals(await keepPerLayer(policy, { length: 24, budget: 8, shape }), [10, 7, 7]);
  assertEquals(printed, Array(2).fill("layer 0 { heads: 4 }"));
});

/** Every member, whose functions never answer; one that scores, or one that selects. */
const ALL_MEMBERS = `const never = () => new Promise(() => {});
export default ({ selects = false }) => ({
  name: "all_members",
  paper: "https://example.org",
  options: { selects },
  evidence: { kind: "none" },
  evicts: true,
  note: "never",
  phases: { decoding: { every: 8 } },
  positions: "contiguous",
  acrossLayers: true,
  merging: { threshold: 0, fraction: 1 },
  first: { policy: { name: "inner", evidence: { kind: "none" }, score: never }, factor: 2 },
  allocate: never,
  restores: { tokens: never },
  ...(selects ? { select: never } : {
    score: never,
    protect: never,
    allocateHeads: never,
    threshold: 0,
    secondStage: { first: 0.5, rescore: never },
    evenHeads: { name: "all_members", evidence: { kind: "none" }, score: never },
  }),
});`;

Deno.test("every member of a stranger's policy crosses the wall, and every function has a time limit", async () => {
  await using server = serveModules({ "all.js": ALL_MEMBERS });
  // More than ten start at once.
  const timeLimit = 3 * await longEnoughToStart();
  const load = (selects: boolean) =>
    loadPolicy(`${server.url("all.js")}(selects=${selects})`, { timeLimit });
  const crossed = new Set<string>();
  for (const selects of [false, true]) {
    await using loaded = await load(selects);
    Object.keys(loaded.policy).forEach((member) => crossed.add(member));
  }
  // What would read a file of the model's does not cross.
  const crossing = POLICY_MEMBERS.filter((member) => member !== "forModel");
  assertEquals([...crossed].sort(), [...crossing].sort());
  const functions = [...POLICY_MEMBERS].filter((member) => member !== "select").map((member) => ({
    member,
    selects: false,
  }));
  await Promise.all([...functions, { member: "select", selects: true }].map(
    async ({ member, selects }) => {
      await using loaded = await load(selects);
      const found: unknown = Reflect.get(loaded.policy, member);
      const { rescore, tokens, score } = Object(found);
      const ask = rescore ?? tokens ?? score ?? found;
      if (typeof ask !== "function") return;
      await assertRejects(() => ask(LAYER, 4), PolicyError, `within ${timeLimit / 1000} seconds`);
    },
  ));
});

Deno.test("loadPolicy() refuses a stranger's policy that is made for a model, and lends it none", async () => {
  const made = `export default () => ({
    name: "made",
    evidence: { kind: "none" },
    score: ({ kvHeads, length }) => new Float32Array(kvHeads * length),
    forModel: (model) => ({}),
  });`;
  await using server = serveModules({ "made.js": made, "half.js": HALF });
  await assertRejects(
    () => loadPolicy(server.url("made.js")),
    PolicyError,
    "made.js in a sandbox: its 'forModel' would read a file made for the model",
  );
  const inner: ScorerPolicy = { ...snapKv(), forModel: () => snapKv() };
  await assertRejects(
    () => loadPolicy(server.url("half.js"), { options: { inner } }),
    PolicyError,
    "Policy 'snapkv' reads a file made for the model, and is not lent",
  );
});

Deno.test("loadPolicy() gives a stranger's policy that selects", async () => {
  const code = `export default () => ({
    name: "tail",
    evidence: { kind: "none" },
    select: ({ kvHeads, length }, keep) => Array.from({ length: kvHeads }, () =>
      Int32Array.from({ length: keep }, (_, index) => length - keep + index)),
  });`;
  await using server = serveModules({ "tail.js": code });
  await using loaded = await loadPolicy(server.url("tail.js"));
  const tail = Int32Array.from([21, 22, 23]);
  assertEquals(await selectKept(loaded.policy, LAYER, 3), [tail, tail]);
});

/** Looks at the newest half of the tokens alone. */
const HALF = `export default ({ inner, weight = 1 }) => ({
  ...inner,
  name: "half",
  options: { inner: inner.name, weight },
  async score(layer) {
    const whole = await inner.score(layer);
    const length = layer.length / 2;
    const cut = async (read) => {
      const all = await read();
      const out = new Float32Array(all.length / 2);
      for (let row = 0; row < all.length / layer.length; row++) {
        out.set(all.subarray(row * layer.length + length, (row + 1) * layer.length), row * length);
      }
      return out;
    };
    const newer = await inner.score({
      ...layer,
      length,
      attention: () => cut(layer.attention),
      groupAttention: () => cut(layer.groupAttention),
    });
    if (newer.length !== whole.length / 2) throw new Error("the inner policy scored another layer");
    const protect = typeof inner.protect === "function" ? await inner.protect(8, 24) : inner.protect;
    return whole.map((score) => score * weight + protect.recent);
  },
});`;

Deno.test("loadPolicy() wraps our policy in a stranger's, which asks it from the sandbox", async () => {
  await using server = serveModules({ "half.js": HALF });
  await using loaded = await loadPolicy(
    `${server.url("half.js")}(snapkv(window=4,kernel=1),weight=2)`,
  );
  const { policy } = loaded;
  assertEquals(policy.evidence, { kind: "window", size: 4 });
  assertEquals(policy.options, { inner: "snapkv", weight: 2 });
  assert("score" in policy);
  const inner = await snapKv({ window: 4, kernel: 1 }).score(LAYER);
  assertEquals(await policy.score(LAYER), inner.map((score) => score * 2 + 4));
});

Deno.test("loadPolicy() wraps a stranger's policy in ours, and in another stranger's", async () => {
  await using server = serveModules({ "whole.js": WHOLE, "half.js": HALF });
  const [whole, half] = [server.url("whole.js"), server.url("half.js")];
  await using ours = await loadPolicy(`chunk_kv(${whole}(factor=3))`);
  assertEquals(ours.policy.evidence, { kind: "window", size: 3 });
  assertEquals((await selectKept(ours.policy, LAYER, 8)).map(({ length }) => length), [8, 8]);
  await using theirs = await loadPolicy(`${half}(${whole}(factor=3))`);
  assert("score" in theirs.policy);
  const expected = (await LAYER.groupAttention()).map((paid) => Math.fround(paid * 3) + 1);
  assertEquals(await theirs.policy.score(LAYER), expected);
});

Deno.test("loadPolicy() keeps the class of an error on its way through a sandbox", async () => {
  const code = `export default ({ window }) => {
    throw Object.assign(new RangeError("window must be at least 1, got " + window), { name: "OptionError" });
  };`;
  await using server = serveModules({ "strict.js": code, "half.js": HALF });
  await assertRejects(
    () => loadPolicy(`${server.url("strict.js")}(window=0)`),
    OptionError,
    "window must be at least 1, got 0",
  );
  await assertRejects(
    () => loadPolicy(`${server.url("half.js")}(snapkv(windw=4))`),
    OptionError,
    "did you mean 'window'",
  );
});

/** Facts of a model that remembers what was read for it. */
function facts(read: string[]): ModelFacts {
  const tokens = { count: 2, hidden: 4, embeddings: new Float32Array(8).fill(3), trained: true };
  return {
    ...{ hidden: 4, layers: 1, fingerprint: "a", identity: "b", embeddingRms: 1 },
    readSoftTokens: (source) => (read.push(String(source)), Promise.resolve(tokens)),
    readModelFile: () => Promise.reject(new Error("not asked for")),
  };
}

const SOFT = `export default ({ softTokens, extra }) => ({
  name: "soft",
  evidence: { kind: "soft", tokens: (model) => model.readSoftTokens(extra ?? softTokens) },
  score: (layer) => layer.groupAttention(),
});`;

Deno.test("loadPolicy() lets a stranger's policy read such soft tokens as the user named", async () => {
  await using server = serveModules({ "soft.js": SOFT, "half.js": HALF });
  const read: string[] = [];
  const secret = fixture("README.md");
  {
    await using loaded = await loadPolicy(`${server.url("soft.js")}(softTokens=a.safetensors)`);
    const { evidence } = loaded.policy;
    assert(evidence.kind === "soft");
    const tokens = await evidence.tokens(facts(read));
    assertEquals(tokens.embeddings, new Float32Array(8).fill(3));
    assertEquals(read, ["a.safetensors"]);
  }
  const sly = SOFT.replace("extra ?? softTokens", JSON.stringify(secret));
  await using other = serveModules({ "sly.js": sly });
  await using loaded = await loadPolicy(other.url("sly.js"));
  const { evidence } = loaded.policy;
  assert(evidence.kind === "soft");
  await assertRejects(
    async () => await evidence.tokens(facts(read)),
    Error,
    "only if the policy's options name it",
  );
  assertEquals(read, ["a.safetensors"]);
});

Deno.test("loadPolicy() lets our policy inside a stranger's read its own soft tokens", async () => {
  await using server = serveModules({ "half.js": HALF });
  const read: string[] = [];
  await using loaded = await loadPolicy(
    `${server.url("half.js")}(judge_q(softTokens=ours.safetensors))`,
  );
  const { evidence } = loaded.policy;
  assert(evidence.kind === "soft" && judgeQ().evidence.kind === "soft");
  assertEquals((await evidence.tokens(facts(read))).count, 2);
  assertEquals(read, ["ours.safetensors"]);
});

Deno.test("loadPolicy() shows a stranger's wrapper a policy beside ours that gives each head the same", async () => {
  const code = `export default ({ inner }) => ({ ...inner.evenHeads, name: "even" });`;
  await using server = serveModules({ "even.js": code });
  const inner = judgeQ({ softTokens: "untrained", window: 2, draft: 0 });
  await using loaded = await loadPolicy(server.url("even.js"), { options: { inner } });
  assert("score" in loaded.policy && inner.evenHeads);
  assertEquals(loaded.policy.allocateHeads, undefined);
  assertEquals(loaded.policy.options, { ...inner.options, share: "head" });
  assertEquals(
    await selectKept(loaded.policy, LAYER, 8),
    await selectKept(inner.evenHeads, LAYER, 8),
  );
});

Deno.test("loadPolicy() does not let a stranger's wrapper ask about endless layers", async () => {
  const asks = (call: string) =>
    `export default ({ inner }) => ({
      ...inner,
      name: "greedy",
      score: (layer) => ${call},
    });`;
  await using server = serveModules({
    "length.js": asks("inner.score({ ...layer, length: 5e8 })"),
    "layers.js": asks("inner.allocate({ layers: 1e9, length: 5, budget: 5 })"),
    "function.js": asks("Object.assign(inner.score, {}) && inner.score(undefined)"),
  });
  const messages = {
    "length.js": "'length' of a layer must be from 1 to 24, got 500000000",
    "layers.js": "'layers' must be at most 4096, got 1000000000",
    "function.js": "'heads' of a layer must be from 1 to 4, got undefined",
  };
  for (const [file, message] of Object.entries(messages)) {
    await using loaded = await loadPolicy(`${server.url(file)}(pyramidkv(window=4))`);
    assert(pyramidKv().allocate);
    await assertRejects(() => selectKept(loaded.policy, LAYER, 8), PolicyError, message);
  }
});

Deno.test("a stranger's policy compares keys, but not endlessly many at a time", async () => {
  const code = `export default ({ count }) => ({
    name: "similar",
    evidence: { kind: "none" },
    async score({ kvHeads, length, similarity }) {
      const row = await similarity(kvHeads - 1, new Int32Array(count).fill(length - 1));
      return Float32Array.from({ length: kvHeads * length }, (_, index) => row[index % length]);
    },
  });`;
  await using server = serveModules({ "similar.js": code });
  await using one = await loadPolicy(`${server.url("similar.js")}(count=1)`);
  assert("score" in one.policy);
  const row = await LAYER.similarity(1, Int32Array.of(23));
  assertEquals(await one.policy.score(LAYER), Float32Array.from([...row, ...row]));
  await using many = await loadPolicy(`${server.url("similar.js")}(count=1000000)`);
  await assertRejects(
    () => selectKept(many.policy, LAYER, 8),
    PolicyError,
    "'tokens' of similarity() must be an Int32Array of at most 699050, got 1000000",
  );
});

/** Speaks the sandbox's language itself, past the program that runs the plugin. */
const forger = (json: string) =>
  `export default () => ({
    name: "forger",
    evidence: { kind: "none" },
    async score() {
      const text = new TextEncoder().encode(${JSON.stringify(json)});
      const head = new Uint8Array(8 + text.length);
      new DataView(head.buffer).setUint32(0, text.length, true);
      head.set(text, 8);
      await Deno.stdout.write(head);
      await new Promise(() => {});
    },
  });`;

const FORGED: Readonly<Record<string, string>> = {
  '{"reply":77,"value":1}': "it gives an answer that nobody asked for",
  '{"call":5,"to":99,"values":[]}': "it ended its process with exit code 1",
  "null": "it sends no message",
  "[[[[": "failed in layer 0: ",
  '{"reply":{"$kv":["f32",0,1000000]}}': "it sends a broken array",
  '{"reply":{"$kv":["f64",-8,1]}}': "it sends a broken array",
  '{"reply":{"$kv":["constructor",0,1]}}': "an array of an unknown kind",
  '{"reply":{"$kv":7}}': "an array of an unknown kind",
  '{"call":5,"to":"x","values":{"$kv":["mine","y"]}}': "it ended its process with exit code 1",
};

for (const [json, message] of Object.entries(FORGED)) {
  Deno.test(`a stranger's policy gains nothing by forging ${json}`, async () => {
    await using server = serveModules({ "forger.js": forger(json) });
    await using loaded = await loadPolicy(server.url("forger.js"));
    await assertRejects(() => selectKept(loaded.policy, LAYER, 8), PolicyError, message);
  });
}
