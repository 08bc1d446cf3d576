import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import type { Model } from "../../runtime/model.ts";
import type { Calibration, Measurement } from "./calibrate.ts";
import { firstDirection } from "./first_direction.ts";
import { queriesOfPrompt } from "./measured_queries.ts";

/**
 * Measures, for `q_filters`, where the rotated queries of each head lie: their first right-singular vector,
 * turned to where their mean lies. A KV head's filter is the mean of those of its query heads, and
 * points the other way.
 */
export const qFiltersCalibration: Calibration = { kind: "q_filters", begin: measurement };

function measurement(model: Model): Measurement {
  const { engine } = model;
  const { heads, kvHeads, headDim } = engine.config;
  const layers = globalLayers(engine.config).length;
  const square = headDim * headDim;
  const moments = Array.from({ length: layers }, () => ({
    sums: new Float64Array(heads * headDim),
    products: new Float64Array(heads * square),
  }));
  let measured = 0;
  return {
    async add(prompt, signal) {
      // They stay rotated.
      const rotary = { frequencies: new Float32Array(headDim / 2), start: 0 };
      await queriesOfPrompt(model, prompt, async ({ index, queries, tokens }) => {
        const total = moments[index];
        if (!total) return;
        if (index === 0) measured += tokens;
        const [added] = await engine.addQueries([{ queries, rotary }], 0);
        if (!added) return;
        using _added = added;
        const { mean, products } = await added.statistics();
        mean.forEach((value, at) => total.sums[at] = (total.sums[at] ?? 0) + tokens * value);
        for (let at = 0; at < products.length; at++) {
          const row = Math.floor(at / headDim);
          const column = row - row % headDim + at % headDim;
          const own = (products[at] ?? 0) + tokens * (mean[row] ?? 0) * (mean[column] ?? 0);
          total.products[at] = (total.products[at] ?? 0) + own;
        }
      }, signal);
    },
    finish() {
      const group = heads / kvHeads;
      const data = new Float32Array(layers * kvHeads * headDim);
      for (const [layer, { sums, products }] of moments.entries()) {
        for (let head = 0; head < heads; head++) {
          const toward = sums.subarray(head * headDim, (head + 1) * headDim);
          const found = firstDirection(
            products.subarray(head * square, (head + 1) * square),
            toward,
          );
          const row = (layer * kvHeads + Math.floor(head / group)) * headDim;
          found.forEach((value, at) => data[row + at] = (data[row + at] ?? 0) - value / group);
        }
      }
      const filters = { shape: [layers, kvHeads, headDim], data };
      return { tensors: { filters }, card: { queries: `${measured}` } };
    },
  };
}
