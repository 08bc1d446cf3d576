import type { LayerShape } from "../../../policies/policy.ts";
import type { LayerScorer } from "../../evict/layer_scorer.ts";
import type { LayerTensors, ScoreKernels, ScoreRun } from "./score_kernels.ts";

/** A layer on a device, or some of its KV heads. */
export interface ScoredLayer extends LayerTensors {
  /** The first KV head that is shown. */
  readonly firstHead: number;
}

/**
 * Runs score kernels for what is shown of a layer.
 *
 * @param slots Slots of the tokens that are shown, per KV head; absent where all are.
 */
export function deviceScorer(
  kernels: ScoreKernels,
  layer: LayerShape,
  tensors: ScoredLayer,
  slots?: readonly Int32Array[],
): LayerScorer {
  const { heads, kvHeads, headDim, length } = layer;
  const { firstHead } = tensors;
  const group = heads / kvHeads;
  const spec = {
    shape: { heads, kvHeads, headDim, firstHead },
    chosen: slots !== undefined,
  };
  const run: ScoreRun = {
    tensors,
    layer,
    ...(slots
      ? {
        chosen: pairsOf(slots, 1, firstHead),
        chosenRows: pairsOf(slots, group, firstHead * group),
      }
      : {}),
  };
  return {
    scores: async (kernel) => await kernels.scores({ ...spec, kernel }, run),
    held: async (kernel, again) =>
      await kernels.held({ ...spec, kernel, ...(again ? { again } : {}) }, run),
    ranking: kernels.ranking,
    best: async (kernel, { second, ...wanted }) =>
      await kernels.best(
        { ...spec, kernel, ...(second ? { again: second.kernel } : {}) },
        run,
        { ...wanted, ...(second ? { firstCount: second.firstCount } : {}) },
      ),
    part(kept, first) {
      const shown = kept.map((indices, head) => {
        const whole = slots?.[first + head];
        return whole ? indices.map((index) => whole[index] ?? 0) : indices;
      });
      const positions = kept.flatMap((indices, head) =>
        Array.from(indices, (index) => layer.positions[(first + head) * length + index] ?? 0)
      );
      const part: LayerShape = {
        ...layer,
        kvHeads: kept.length,
        firstHead: layer.firstHead + first,
        heads: kept.length * group,
        length: kept[0]?.length ?? 0,
        positions: Int32Array.from(positions),
      };
      return deviceScorer(kernels, part, { ...tensors, firstHead: firstHead + first }, shown);
    },
  };
}

/** Pairs of row and slot, for as many rows as each KV head has. */
function pairsOf(slots: readonly Int32Array[], perHead: number, firstRow: number): Int32Array {
  return Int32Array.from(
    slots.flatMap((ofHead, head) =>
      Array.from({ length: perHead }, (_, index) => firstRow + head * perHead + index)
        .flatMap((row) => Array.from(ofHead).flatMap((slot) => [row, slot]))
    ),
  );
}
