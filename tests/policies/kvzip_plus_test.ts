import { kvZipPlus } from "../../policies/kvzip_plus.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { assertClose } from "../_close.ts";
import { newSequence, randomIds, tinyModel } from "../_test_model.ts";
import { testReplayGoldens } from "./_replay_goldens.ts";

testReplayGoldens(kvZipPlus({ chunk: 40 }));

Deno.test("kvZipPlus() scores the same whatever the steps are, one of a single token too", async () => {
  await using test = await tinyModel("tiny-llama");
  const ids = randomIds(129, test.model.config.vocabulary, 3);
  const facts = await test.model.facts();
  const scoresInSteps = async (most: number) => {
    const engine = { ...test.model.engine, maxStepTokens: () => most };
    const sequence = newSequence(engine);
    using _cache = sequence.cache;
    const { scores } = await readPrompt({
      ...{ engine, sequence, ids, facts, policy: kvZipPlus(), budget: 30, chunk: 64 },
      ...{ scores: true, now: () => 0 },
    });
    return scores;
  };
  const [whole, apart] = [await scoresInSteps(512), await scoresInSteps(64)];
  for (const [layer, scores] of whole.entries()) {
    assertClose(apart[layer] ?? [], scores, { absolute: 1e-6 }, `layer ${layer}`);
  }
});
