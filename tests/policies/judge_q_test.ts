import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { judgeQ, type JudgeQOptions } from "../../policies/judge_q.ts";
import { OptionError } from "../../policies/policy.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { fakeFacts, fakeTokens, softTokensOf } from "./_fake_tokens.ts";

Deno.test("judgeQ() uses untrained tokens where none ship, and says how to train some", async () => {
  const tokens = await softTokensOf(judgeQ(), fakeFacts());
  assertEquals([tokens.count, tokens.hidden, tokens.trained], [32, 64, false]);
  assertEquals(
    tokens.note,
    "none ship for this model; train some with `kvjudge train judge-q`",
  );
  assertEquals(judgeQ().options?.softTokens, "default");
});

Deno.test("judgeQ() uses untrained tokens without a word where it is told to", async () => {
  const policy = judgeQ({ softTokens: "untrained" });
  const { note, ...tokens } = await softTokensOf(policy, fakeFacts());
  const { note: _note, ...fallback } = await softTokensOf(judgeQ(), fakeFacts());
  assertEquals(note, undefined);
  assertEquals(tokens, fallback);
  assertEquals(policy.options?.softTokens, "untrained");
});

Deno.test("judgeQ() refuses tokens that were trained with adapters", async () => {
  const policy = judgeQ({ softTokens: { ...fakeTokens, adapters: { rank: 1, tensors: {} } } });
  await assertRejects(
    () => softTokensOf(policy, fakeFacts()),
    OptionError,
    "Cannot use 1 given tokens with policy 'judge_q': these soft tokens were trained with adapters",
  );
});

const attention = new Float32Array([4, 0, 0, 2, 0, 0, 0, 6]);

Deno.test("judgeQ() takes the most or the mean of the group, then pools all tokens", async () => {
  const layer = fakeLayer({ heads: 2, kvHeads: 1, headDim: 1, length: 4, attention });
  const scored = (options: JudgeQOptions) =>
    judgeQ({ ...options, draft: 0, share: "head" }).score(layer);
  assertEquals(
    await scored({ kernel: 3, pooling: "max", group: "mean" }),
    new Float32Array([2, 2, 4, 4]),
  );
  assertEquals(await scored({ kernel: 1, group: "mean" }), new Float32Array([2, 0, 0, 4]));
  assertEquals(await scored({ kernel: 1 }), new Float32Array([4, 0, 0, 6]));
});

Deno.test("judgeQ() multiplies with what a draft attends to, and the tokens behind that", async () => {
  const draft = new Float32Array([0, 1, 0, 0, 0, 0, 0, 0]);
  const layer = fakeLayer({ heads: 2, kvHeads: 1, headDim: 1, length: 4, attention, draft });
  const policy = judgeQ({ kernel: 1, share: "head" });
  const scores = [...await policy.score(layer)].map((score) => Number(score.toFixed(4)));
  assertEquals(scores, [4 * 0.7, 0, 0, Number((6 * 0.95 ** 2).toFixed(4))]);
  assertEquals(policy.evidence.kind === "soft" && policy.evidence.draft, 4);
  assertEquals(
    await judgeQ({ kernel: 1, reach: 1, share: "head" }).score(layer),
    new Float32Array([2.8, 0, 0, 0]),
  );
});

Deno.test("judgeQ() takes what a draft attends to as it is, where it reaches nothing", async () => {
  const draft = new Float32Array([0.5, 1, 0, 0, 0, 0, 0, 2]);
  const layer = fakeLayer({ heads: 2, kvHeads: 1, headDim: 1, length: 4, attention, draft });
  assertEquals(
    await judgeQ({ kernel: 1, reach: 0, share: "head" }).score(layer),
    new Float32Array([2, 0, 0, 12]),
  );
});

Deno.test("judgeQ() shares a layer's budget by what the soft tokens attend to, sinks aside", async () => {
  const attention = new Float32Array([9, 9, 9, 9, 1, 5, 3, 0, 8, 8, 8, 8, 2, 0, 0, 4]);
  const draft = new Float32Array([9, 9, 9, 9, 0, 0, 0.5, 0, 7, 7, 7, 7, 0, 0, 0, 0.25]);
  const layer = fakeLayer({ heads: 2, kvHeads: 2, headDim: 1, length: 8, attention, draft });
  const policy = judgeQ({ kernel: 1, reach: 0, window: 1 });
  const scores = await policy.score(layer);
  assertEquals(scores, new Float32Array([0, 0, 0, 0, 1, 5, 3, 0, 0, 0, 0, 0, 2, 0, 0, 4]));
  const { secondStage, protect, allocateHeads } = policy;
  assertEquals(secondStage?.first, 0);
  const again = await secondStage?.rescore(layer, scores);
  // What the draft does not look at goes by the soft tokens alone, behind all that it looks at.
  const little = (score: number) => Math.fround(score * 1e-7);
  assertEquals([...again ?? []], [
    ...[0, 0, 0, 0, little(1), little(5), 1.5, 0],
    ...[0, 0, 0, 0, little(2), 0, 0, 1],
  ]);
  if (typeof protect !== "function") throw new TypeError("sinks must leave room for the window");
  assertEquals(await protect(64, 100), { sinks: 4, recent: 1 });
  assertEquals(await protect(3, 100), { sinks: 2, recent: 1 });
  assertEquals(await protect(1, 100), { sinks: 0, recent: 1 });
  // 16 of each: the first 5 and a fifth of the rest are its own, the 14 that are left go to the best.
  const ranked = [1, 2].map((head) =>
    Float32Array.from({ length: 40 }, (_, at) => head * 100 + at)
  );
  assertEquals(await allocateHeads?.({ scores: ranked, keep: 16 }), [7, 25]);
  assertEquals(judgeQ({ draft: 0 }).secondStage, undefined);
});

Deno.test("judgeQ() has a policy beside it that gives each head the same", () => {
  const { evenHeads, options } = judgeQ({ window: 7, draft: 2 });
  assertEquals(evenHeads?.options, { ...options, share: "head" });
  assertEquals([evenHeads?.name, evenHeads?.protect], ["judge_q", { recent: 7 }]);
  for (const even of [evenHeads, judgeQ({ share: "head" })]) {
    const { allocateHeads, secondStage, evenHeads } = even ?? {};
    assertEquals([allocateHeads, secondStage, evenHeads], [undefined, undefined, undefined]);
  }
});

Deno.test("judgeQ() wants no draft where it has none", () => {
  assertEquals("draft" in judgeQ({ draft: 0 }).evidence, false);
});

Deno.test("judgeQ() refuses options out of range", () => {
  for (
    const [options, message] of [
      [
        { softTokens: "" },
        `'softTokens' must be a path, a URL, soft tokens or "untrained", got ""`,
      ],
      [{ softTokens: 3 }, `'softTokens' must be a path, a URL, soft tokens or "untrained", got 3`],
      [{ draft: -1 }, "'draft' must be an integer of at least 0, got -1"],
      [{ draft: 1.5 }, "'draft' must be an integer of at least 0, got 1.5"],
      [{ reach: -1 }, "'reach' must be an integer of at least 0, got -1"],
      [{ group: "most" }, '\'group\' must be "max" or "mean", got "most"'],
      [{ window: -1 }, "'window' must be an integer of at least 0, got -1"],
      [{ kernel: 2 }, "'kernel' must be an odd integer of at least 1, got 2"],
      [{ soft_tokens: "x" }, "no option 'soft_tokens'; did you mean 'softTokens'?"],
    ] as const
  ) {
    assertThrows(() => Reflect.apply(judgeQ, undefined, [options]), OptionError, message);
  }
});
