import { assertEquals } from "@std/assert";
import type { ScorerPolicy, SoftTokens } from "../../policies/policy.ts";
import type { Checkpoint } from "../../runtime/checkpoint/checkpoint.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { readRows } from "../../runtime/checkpoint/read_rows.ts";
import { tensorOf } from "../../runtime/checkpoint/tensor_of.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { assertClose, noise } from "../_close.ts";
import { newSequence, randomIds, tinyModel } from "../_test_model.ts";
import { referenceDrop } from "./_drop_reference.ts";

/** What the scores must be. */
export interface DropExpectation {
  readonly judge: "window" | "soft";
  readonly power: 1 | 2;
  readonly decay?: number;
  readonly projected?: boolean;
}

const WINDOW = 6;
const SOFT = 3;

/** Registers tests: the policy's scores are those of the plain computation, on models of several shapes. */
export function testDropPolicy(
  create: (options: { kernel: number; window: number; softTokens: SoftTokens }) => ScorerPolicy,
  { judge, power, decay, projected = false }: DropExpectation,
): void {
  for (const name of ["tiny-llama", "tiny-mistral", "tiny-qwen3", "tiny-gemma3"]) {
    Deno.test(`scores of judge ${judge} to the power of ${power} are those of the plain computation on ${name}`, async () => {
      await using test = await tinyModel(name);
      const { engine, config } = test.model;
      const { heads, kvHeads, headDim, hidden, attentionScale } = config;
      const ids = randomIds(40, config.vocabulary, 5);
      const embeddings = noise(SOFT * hidden, 8);
      const softTokens = { count: SOFT, hidden, embeddings, trained: true };
      const policy = create({ kernel: 1, window: WINDOW, softTokens });
      const sequence = newSequence(engine);
      using cache = sequence.cache;
      const { scores } = await readPrompt({
        ...{ engine, sequence, ids, policy, budget: 40, chunk: 17, now: () => 0, scores: true },
        facts: await test.model.facts(),
      });
      assertEquals(cache.length(globalLayers(config)[0] ?? 0), 40);
      const judges = judge === "window" ? WINDOW : SOFT;
      // The judges, read once more, show their queries; soft tokens their keys too.
      const again = newSequence(engine);
      using whole = again.cache;
      const before = judge === "window" ? ids.slice(0, -WINDOW) : ids;
      await engine.advance(again, { ids: before });
      const { queries } = await engine.advance(
        again,
        judge === "window"
          ? { ids: ids.slice(-WINDOW), queries: true }
          : { embeddings, queries: true },
      );
      const weights = Array.from(
        { length: judges },
        (_, at) => decay === undefined ? 1 : decay ** (judges - 1 - at),
      );
      const sum = decay === undefined ? 1 : weights.reduce((a, b) => a + b);
      for (const layer of globalLayers(config)) {
        const effect = referenceDrop({
          ...{ heads, kvHeads, headDim, attentionScale, power },
          queries: queries[layer]?.data ?? new Float32Array(),
          keys: whole.keys(layer),
          values: whole.values(layer),
          ...(projected ? { output: outputOf(test.checkpoint, layer) } : {}),
          weights: weights.map((weight) => weight / sum),
        });
        const length = effect.length / heads;
        const group = heads / kvHeads;
        const expected = Float32Array.from({ length: kvHeads * ids.length }, (_, at) => {
          const [head, token] = [Math.floor(at / ids.length), at % ids.length];
          let mean = 0;
          for (let row = head * group; row < (head + 1) * group; row++) {
            mean += (effect[row * length + token] ?? NaN) / group;
          }
          return mean;
        });
        // Shares near 1 feel the constant that keeps them from dividing by nothing.
        assertClose(
          scores[layer] ?? [],
          expected,
          { absolute: 1e-5, relative: 1e-3 },
          `layer ${layer}`,
        );
      }
    });
  }
}

function outputOf(checkpoint: Checkpoint, layer: number): Float32Array {
  return readRows(tensorOf(checkpoint, checkpoint.family.layer.attentionOutput, layer));
}
