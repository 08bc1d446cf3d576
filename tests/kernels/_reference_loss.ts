import type { HeadShape } from "../../kernels/attention_nodes.ts";
import type { SoftLossOptions } from "../../kernels/soft_loss.ts";

/** Maps that are compared, `[layers, heads, P]` both. */
export interface ComparedMaps extends HeadShape, SoftLossOptions {
  readonly attention: ArrayLike<number>;
  readonly target: ArrayLike<number>;
  readonly layerWeights?: ArrayLike<number>;
  readonly layers: number;
}

/** The loss of soft tokens in plain TypeScript and double precision. */
export function referenceLoss(maps: ComparedMaps): number {
  const { layers, heads, kvHeads, average, loss, layerWeights } = maps;
  const { leaveFirst = 0, leaveLast = 0 } = maps;
  const length = maps.attention.length / layers / heads;
  const group = average === "heads" ? 1 : heads / kvHeads;
  const count = layers * heads / group;
  const weights: number[] = [];
  const pairs: (readonly [readonly number[], readonly number[]])[] = [];
  for (let map = 0; map < count; map++) {
    const row = (values: ArrayLike<number>) =>
      Array.from({ length: length - leaveFirst - leaveLast }, (_, token) => {
        const ofHeads = Array.from(
          { length: group },
          (_, head) => values[(map * group + head) * length + leaveFirst + token] ?? NaN,
        );
        if (average === "max") return Math.max(...ofHeads);
        return ofHeads.reduce((a, b) => a + b) / group;
      });
    weights.push(layerWeights?.[Math.floor(map / (count / layers))] ?? 1);
    pairs.push([row(maps.attention), row(maps.target)]);
  }
  if (loss === "kl" && maps.normalise === "all") {
    const sums = [0, 1].map((side) => add(pairs.map((pair) => add(pair[side] ?? []))));
    return add(
      pairs.map(([soft, target], map) =>
        (weights[map] ?? NaN) * terms(soft, target, sums[0] ?? NaN, sums[1] ?? NaN)
      ),
    );
  }
  const losses = pairs.map(([soft, target], map) =>
    (weights[map] ?? NaN) * (loss === "mse" ? squares(soft, target) : divergence(soft, target))
  );
  return add(losses) / count;
}

function squares(soft: readonly number[], target: readonly number[]): number {
  const sum = soft.reduce((total, value, i) => total + (value - (target[i] ?? NaN)) ** 2, 0);
  return sum / soft.length;
}

function add(values: readonly number[]): number {
  return values.reduce((a, b) => a + b);
}

function divergence(soft: readonly number[], target: readonly number[]): number {
  return terms(soft, target, add(soft), add(target));
}

function terms(
  soft: readonly number[],
  target: readonly number[],
  softSum: number,
  targetSum: number,
): number {
  return add(target.map((value, i) => {
    const p = value / targetSum;
    return p === 0 ? 0 : p * Math.log(p / ((soft[i] ?? NaN) / softSum));
  }));
}
