import { assertEquals } from "@std/assert";
import type { ModelFacts, ScorerPolicy } from "../../policies/policy.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { readFloats, readTensor } from "../../runtime/checkpoint/safetensors.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { assertClose } from "../_close.ts";
import { fixture, newSequence, tinyModel } from "../_test_model.ts";
import { openGolden } from "../runtime/_golden_file.ts";

/** Checkpoints of which the reference library's answers are known. */
const MODELS = [
  ...["tiny-llama", "tiny-llama31", "tiny-mistral", "tiny-qwen2", "tiny-qwen3"],
  ...["tiny-gemma3", "tiny-gemma3-odd", "tiny-qwen3-window"],
];

/** What stands for texts there. */
const TEXTS: Pick<ModelFacts, "encode" | "turnEnd"> = {
  encode: (text) => text.includes("starting with") ? [11, 12, 13, 14] : [5, 6, 7, 8, 9],
  turnEnd: [3],
};

/**
 * Registers a test for each of them.
 *
 * @param policy Repeats 40 tokens at a time.
 */
export function testReplayGoldens(policy: ScorerPolicy): void {
  for (const name of MODELS) {
    Deno.test(`${policy.name} scores and keeps what the goldens do on ${name}, and decodes as they do`, async () => {
      await using test = await tinyModel(name);
      const { engine } = test.model;
      const golden = openGolden(name);
      const ids = golden.integers("input_ids");
      const sequence = newSequence(engine);
      using cache = sequence.cache;
      const { scores, kept } = await readPrompt({
        ...{ engine, sequence, ids, policy, chunk: 37, now: () => 0 },
        budget: ids.length / 4,
        facts: { ...await test.model.facts(), ...TEXTS },
        scores: true,
      });
      const path = fixture(`kvzip/${name}.safetensors`);
      const counts: number[] = [];
      for (const layer of globalLayers(engine.config)) {
        const tensor = `${policy.name}.scores.${layer}`;
        assertClose(scores[layer] ?? [], readFloats(path, tensor).data, {
          absolute: 1e-5,
        }, tensor);
        const mask = Array.from(readTensor(path, `${policy.name}.mask.${layer}`).data, Number);
        for (const [head, indices] of (kept[layer] ?? []).entries()) {
          const ofHead = mask.slice(head * ids.length, (head + 1) * ids.length);
          assertEquals([...indices], ofHead.flatMap((one, index) => one === 1 ? [index] : []));
          assertEquals(cache.lengths(layer)[head], indices.length);
          counts.push(indices.length);
        }
      }
      assertEquals(counts.reduce((sum, count) => sum + count), counts.length * ids.length / 4);
      const logits: number[] = [];
      for (const id of golden.integers("greedy").slice(0, 4)) {
        logits.push(...(await engine.advance(sequence, { ids: [id] })).logits);
      }
      const expected = readFloats(path, `${policy.name}.decode_logits`).data;
      assertClose(logits, expected, { absolute: 1e-3 }, "decode_logits");
    });
  }
}
