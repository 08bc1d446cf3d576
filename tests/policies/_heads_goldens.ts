import { assertEquals } from "@std/assert";
import type { ModelTensor, Policy } from "../../policies/policy.ts";
import { readFloats, readTensor } from "../../runtime/checkpoint/safetensors.ts";
import type { Budget } from "../../runtime/evict/budget.ts";
import { readPieces } from "../../runtime/evict/pieces.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { assertClose } from "../_close.ts";
import { fixture, newSequence, tinyModel } from "../_test_model.ts";
import { openGolden } from "../runtime/_golden_file.ts";

/** Checkpoints of which kvpress' answers are known. */
export const HEADS_MODELS = [
  "tiny-llama",
  "tiny-llama31",
  "tiny-mistral",
  "tiny-qwen2",
  "tiny-qwen3",
];

/** Those with layers that slide, whose global layers alone are evicted. */
export const SLIDING_HEADS_MODELS = ["tiny-gemma3", "tiny-gemma3-odd"];

/** Numbers of kvpress for a checkpoint. */
export function goldenTensor(model: string, name: string): ModelTensor {
  return readFloats(fixture(`heads/${model}.safetensors`), name);
}

/**
 * Reads a golden prompt with a policy, and compares what is kept and what four decoded tokens make of it.
 *
 * @param prefix Of the tensors: `PREFIX.mask.L` and `PREFIX.decode_logits`.
 * @returns Scores per layer.
 */
export async function assertKeepsLikeGolden(
  name: string,
  prefix: string,
  policy: Policy,
  budget: (tokens: number) => Budget,
): Promise<readonly Float32Array[]> {
  await using test = await tinyModel(name);
  const { engine } = test.model;
  const golden = openGolden(name);
  const ids = golden.integers("input_ids");
  const sequence = newSequence(engine);
  using _cache = sequence.cache;
  const { kept, scores } = await readPieces({
    ...{ engine, sequence, ids, policy, chunk: 37, now: () => 0, scores: true },
    budget: budget(ids.length),
    facts: await test.model.facts(),
  });
  const path = fixture(`heads/${name}.safetensors`);
  for (const layer of globalLayers(engine.config)) {
    const heads = kept[layer] ?? [];
    const mask = Array.from(readTensor(path, `${prefix}.mask.${layer}`).data, Number);
    for (const [head, indices] of heads.entries()) {
      const ofHead = mask.slice(head * ids.length, (head + 1) * ids.length);
      const expected = ofHead.flatMap((one, index) => one === 1 ? [index] : []);
      assertEquals([...indices], expected, `layer ${layer}, head ${head}`);
    }
  }
  const logits: number[] = [];
  for (const id of golden.integers("greedy").slice(0, 4)) {
    logits.push(...(await engine.advance(sequence, { ids: [id] })).logits);
  }
  const { data } = readFloats(path, `${prefix}.decode_logits`);
  assertClose(logits, data, { absolute: 2e-3 }, "decode_logits");
  return scores;
}
