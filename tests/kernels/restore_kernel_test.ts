import { assert, assertRejects } from "@std/assert";
import { createRestoreKernel } from "../../kernels/restore_kernel.ts";
import { adaKv } from "../../policies/ada_kv.ts";
import { keyDiff } from "../../policies/keydiff.ts";
import { restoreKv } from "../../policies/restore_kv.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { rotaryTables } from "../../runtime/rotary/rotary_tables.ts";
import { readExample } from "../../training/restoring/example.ts";
import { assertClose, noise } from "../_close.ts";
import { fixture, newSequence, randomIds, tinyModel } from "../_test_model.ts";
import { describe } from "./_soft_case.ts";

const TOKENS = 3;
const FOLLOWS = 6;

for (
  const [name, policy] of [
    ["tiny-llama31", keyDiff()],
    ["tiny-qwen3", adaKv({ inner: snapKv({ window: 4 }) })],
    ["tiny-gemma3", snapKv({ window: 4 })],
  ] as const
) {
  Deno.test(`the restoring step's loss is that of the runtime, its gradient that of its differences (${name})`, async () => {
    await using test = await tinyModel(name);
    await using described = await describe(fixture(name));
    const { engine, config } = test.model;
    const facts = await test.model.facts();
    const [ids, answer] = [randomIds(50, config.vocabulary, 3), randomIds(4, config.vocabulary, 8)];
    const embeddings = noise(TOKENS * config.hidden, 5).map((value) => value * 0.2);
    const budget = 20;
    const given = { tokens: TOKENS, follows: FOLLOWS };
    using read = await readExample(
      { ids, response: { kind: "original", ids: answer } },
      { engine, facts, policy, follows: FOLLOWS },
    );
    const example = await read.keeping(budget - TOKENS);

    // An answer behind what the policy that is trained for leaves.
    const sequence = newSequence(engine);
    using _cache = sequence.cache;
    const softTokens = { count: TOKENS, hidden: config.hidden, embeddings, trained: true };
    await readPrompt({
      ...{ engine, sequence, ids, facts, budget, chunk: 64, scores: false, now: () => 0 },
      policy: restoreKv({ inner: policy, softTokens }),
    });
    const rows = [...answer.keys()];
    const { logits } = await engine.advance(sequence, { ids: answer, rows });
    let expected = 0;
    for (const row of rows) {
      const of = (all: Float32Array) =>
        all.subarray(row * config.vocabulary, (row + 1) * config.vocabulary);
      const [found, target] = [of(logits), of(example.target)];
      const most = Math.max(...found);
      const sum = found.reduce((total, logit) => total + Math.exp(logit - most), 0);
      target.forEach((p, id) => {
        if (p > 0) expected += p * (Math.log(p) - (found[id] ?? NaN) + most + Math.log(sum)) / 4;
      });
    }
    await using kernel = await createRestoreKernel(described.model, { ...given, threads: 1 });
    const run = (at: Float32Array, gradients: boolean) => {
      const { position, ...rest } = example;
      const tokens = TOKENS + FOLLOWS;
      const rotary = rotaryTables(config, { sequence: position + tokens, position, tokens });
      return kernel.run({ ...rest, embeddings: at, rotary, gradients });
    };
    const { loss, gradient } = await run(embeddings, true);
    assertClose([loss], [expected], { absolute: 1e-5, relative: 1e-3 }, "loss");

    // Along a direction, and of the numbers that matter most.
    const length = Math.hypot(...gradient);
    assert(length > 0);
    const step = 2e-3;
    const along = async (direction: Float32Array) => {
      const moved = (by: number) =>
        embeddings.map((value, at) => value + by * (direction[at] ?? 0));
      const [ahead, behind] = [await run(moved(step), false), await run(moved(-step), false)];
      return (ahead.loss - behind.loss) / (2 * step);
    };
    const steepest = gradient.map((value) => value / length);
    assertClose([await along(steepest)], [length], { relative: 2e-2, absolute: 1e-4 }, "steepest");
    for (const seed of [1, 2]) {
      const random = noise(gradient.length, seed);
      const size = Math.hypot(...random);
      const direction = random.map((value) => value / size);
      const slope = gradient.reduce((sum, value, at) => sum + value * (direction[at] ?? 0), 0);
      assertClose(
        [await along(direction)],
        [slope],
        { absolute: 2e-2 * length },
        `direction ${seed}`,
      );
    }
  });
}

Deno.test("the restoring step refuses inputs of other sizes", async () => {
  await using described = await describe(fixture("tiny-llama"));
  const { model } = described;
  await using kernel = await createRestoreKernel(model, { tokens: 2, follows: 2, threads: 1 });
  const inputs = {
    embeddings: new Float32Array(2 * model.hidden),
    ids: [1, 2],
    rotary: [{ cos: new Float32Array(4 * 8), sin: new Float32Array(4 * 8) }],
    past: [],
    kept: [],
    target: new Float32Array(2 * model.vocabulary),
    weights: new Float32Array(2),
  };
  await assertRejects(() => kernel.run({ ...inputs, ids: [1] }), TypeError, "ids of 1 numbers");
  await assertRejects(() => kernel.run(inputs), TypeError, "past_keys.0 of 0 numbers");
});
