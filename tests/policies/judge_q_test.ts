import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { judgeQ } from "../../policies/judge_q.ts";
import {
  type ModelFacts,
  OptionError,
  type ScorerPolicy,
  type SoftTokens,
} from "../../policies/policy.ts";
import { fakeLayer } from "../_fake_layer.ts";

const soft: SoftTokens = {
  count: 1,
  hidden: 2,
  embeddings: new Float32Array([1, 2]),
  trained: true,
};

function model(facts: Partial<ModelFacts> = {}): ModelFacts {
  return {
    hidden: 64,
    layers: 1,
    fingerprint: "abc",
    embeddingRms: 0.25,
    readSoftTokens: () => Promise.reject(new Error("nothing to read")),
    ...facts,
  };
}

async function softTokens({ evidence }: ScorerPolicy, facts: ModelFacts): Promise<SoftTokens> {
  assert(evidence.kind === "soft");
  return await evidence.tokens(facts);
}

Deno.test("judgeQ() without a file uses untrained tokens of the model's size", async () => {
  const tokens = await softTokens(judgeQ(), model());
  assertEquals([tokens.count, tokens.hidden, tokens.trained], [32, 64, false]);
  assertEquals(tokens.fingerprint, undefined);
  const squares = tokens.embeddings.reduce((sum, value) => sum + value * value, 0);
  assertAlmostEquals(Math.sqrt(squares / tokens.embeddings.length), 0.25, 0.01);
  assertEquals(tokens, await softTokens(judgeQ(), model()));
  assertEquals(judgeQ().options?.softTokens, "untrained");
});

Deno.test("judgeQ() has the model read its file, once per model", async () => {
  const sources: (string | URL)[] = [];
  const readSoftTokens = (source: string | URL) => {
    sources.push(source);
    return Promise.resolve(soft);
  };
  const policy = judgeQ({ softTokens: "soft.safetensors" });
  assertEquals(await softTokens(policy, model({ readSoftTokens })), soft);
  assertEquals(await softTokens(policy, model({ readSoftTokens })), soft);
  assertEquals(sources, ["soft.safetensors"]);
  await softTokens(policy, model({ readSoftTokens, fingerprint: "other" }));
  assertEquals(sources.length, 2);
});

Deno.test("judgeQ() reads its file again after a failure", async () => {
  const policy = judgeQ({ softTokens: new URL("https://example.org/soft.safetensors") });
  await assertRejects(() => softTokens(policy, model()), Error, "nothing to read");
  const readSoftTokens = () => Promise.resolve(soft);
  assertEquals(await softTokens(policy, model({ readSoftTokens })), soft);
  assertEquals(policy.options?.softTokens, "https://example.org/soft.safetensors");
});

Deno.test("judgeQ() takes soft tokens themselves", async () => {
  const policy = judgeQ({ softTokens: soft });
  assertEquals(await softTokens(policy, model()), soft);
  assertEquals(policy.options?.softTokens, "1 given tokens");
});

Deno.test("judgeQ() averages the group, then pools all tokens", async () => {
  const attention = new Float32Array([4, 0, 0, 2, 0, 0, 0, 6]);
  const layer = fakeLayer({ heads: 2, kvHeads: 1, headDim: 1, length: 4, attention });
  assertEquals(
    await judgeQ({ kernel: 3, window: 2 }).score(layer),
    new Float32Array([2, 2, 4, 4]),
  );
  assertEquals(
    await judgeQ({ kernel: 1, window: 0 }).score(layer),
    new Float32Array([2, 0, 0, 4]),
  );
});

Deno.test("judgeQ() refuses options out of range", () => {
  for (
    const [options, message] of [
      [{ softTokens: "" }, `'softTokens' must be a path, a URL or soft tokens, got ""`],
      [{ softTokens: 3 }, "'softTokens' must be a path, a URL or soft tokens, got 3"],
      [{ window: -1 }, "'window' must be an integer of at least 0, got -1"],
      [{ kernel: 2 }, "'kernel' must be an odd integer of at least 1, got 2"],
      [{ soft_tokens: "x" }, "no option 'soft_tokens'; did you mean 'softTokens'?"],
    ] as const
  ) {
    assertThrows(() => Reflect.apply(judgeQ, undefined, [options]), OptionError, message);
  }
});
