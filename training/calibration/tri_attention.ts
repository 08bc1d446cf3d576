import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import type { Model } from "../../runtime/model.ts";
import { layerFrequencies } from "../../runtime/rotary/frequencies.ts";
import type { Calibration, Measurement } from "./calibrate.ts";
import { demandFixedRotation, queriesOfPrompt } from "./measured_queries.ts";

/**
 * Measures, for `tri_attention`, the centre of each head's queries before they are rotated, and the mean length
 * of each of their pairs of numbers.
 */
export const triAttentionCalibration: Calibration = { kind: "tri_attention", begin: measurement };

function measurement(model: Model): Measurement {
  demandFixedRotation(model);
  const { engine } = model;
  const { config } = engine;
  const { heads, headDim } = config;
  const half = headDim / 2;
  const globals = globalLayers(config);
  const sums = globals.map(() => ({
    means: new Float64Array(heads * headDim),
    lengths: new Float64Array(heads * half),
  }));
  let measured = 0;
  return {
    async add(prompt, signal) {
      await queriesOfPrompt(model, prompt, async ({ index, queries, tokens, rotary }) => {
        const total = sums[index];
        if (!total) return;
        if (index === 0) measured += tokens;
        const { means, lengths } = total;
        const [moments] = await engine.addQueries([{ queries, rotary }], 0);
        if (!moments) return;
        using _moments = moments;
        const { mean } = await moments.statistics();
        mean.forEach((value, at) => means[at] = (means[at] ?? 0) + tokens * value);
        // Rotating a pair leaves its length as it is.
        const rows = await queries.floats();
        for (let row = 0; row < tokens * heads; row++) {
          const [start, into] = [row * headDim, (row % heads) * half];
          for (let band = 0; band < half; band++) {
            const [a, b] = [rows[start + band] ?? 0, rows[start + half + band] ?? 0];
            lengths[into + band] = (lengths[into + band] ?? 0) + Math.sqrt(a * a + b * b);
          }
        }
      }, signal);
    },
    finish() {
      const tensor = (of: "means" | "lengths", width: number) => ({
        shape: [globals.length, heads, width],
        data: Float32Array.from(
          sums.flatMap((one) => [...one[of]]),
          (sum) => sum / Math.max(1, measured),
        ),
      });
      const frequencies = {
        shape: [globals.length, 1, half],
        data: Float32Array.from(
          globals.flatMap((layer) => [...layerFrequencies(config, layer, 1)]),
        ),
      };
      const tensors = {
        means: tensor("means", headDim),
        lengths: tensor("lengths", half),
        frequencies,
      };
      return { tensors, card: { queries: `${measured}` } };
    },
  };
}
