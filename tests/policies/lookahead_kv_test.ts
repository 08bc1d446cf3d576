import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { lookaheadKv } from "../../policies/lookahead_kv.ts";
import { OptionError } from "../../policies/policy.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { fakeFacts, fakeTokens, softTokensOf } from "./_fake_tokens.ts";

Deno.test("lookaheadKv() passes tokens with adapters on", async () => {
  const adapters = { rank: 1, tensors: { "adapter.0.q.a": new Float32Array(2) } };
  const trained = { ...fakeTokens, adapters };
  assertEquals(await softTokensOf(lookaheadKv({ softTokens: trained }), fakeFacts()), trained);
});

Deno.test("lookaheadKv() refuses trained tokens without adapters", async () => {
  const readSoftTokens = () => Promise.resolve(fakeTokens);
  await assertRejects(
    () =>
      softTokensOf(lookaheadKv({ softTokens: "soft.safetensors" }), fakeFacts({ readSoftTokens })),
    OptionError,
    "Cannot use soft.safetensors with policy 'lookahead_kv': these soft tokens have no adapters; " +
      "train some that have with `kvjudge train lookahead-kv`",
  );
});

Deno.test("lookaheadKv() uses untrained tokens where none ship, and says how to train some", async () => {
  const tokens = await softTokensOf(lookaheadKv(), fakeFacts());
  assertEquals([tokens.count, tokens.hidden, tokens.trained], [32, 64, false]);
  assertEquals(tokens.adapters, undefined);
  assertEquals(
    tokens.note,
    "none ship for this model; train some with `kvjudge train lookahead-kv`",
  );
  const asked = await softTokensOf(lookaheadKv({ softTokens: "untrained" }), fakeFacts());
  assertEquals([asked.embeddings, asked.note], [tokens.embeddings, undefined]);
});

Deno.test("lookaheadKv() averages the group, then pools all tokens", async () => {
  const attention = new Float32Array([4, 0, 0, 2, 0, 0, 0, 6]);
  const layer = fakeLayer({ heads: 2, kvHeads: 1, headDim: 1, length: 4, attention });
  const policy = lookaheadKv({
    ...{ kernel: 3, pooling: "max", window: 2 },
    ...{ draft: 0, group: "mean", share: "head" },
  });
  assertEquals(await policy.score(layer), new Float32Array([2, 2, 4, 4]));
  assertEquals(policy.protect, { recent: 2 });
});

Deno.test("lookaheadKv() refuses options out of range", () => {
  assertThrows(
    () => lookaheadKv({ kernel: 2 }),
    OptionError,
    "Cannot make policy 'lookahead_kv': option 'kernel' must be an odd integer",
  );
});
