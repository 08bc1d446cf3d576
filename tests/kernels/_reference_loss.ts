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
  const length = maps.attention.length / layers / heads;
  const group = average === "groups" ? heads / kvHeads : 1;
  const count = layers * heads / group;
  let total = 0;
  for (let map = 0; map < count; map++) {
    const row = (values: ArrayLike<number>) =>
      Array.from({ length }, (_, token) => {
        let sum = 0;
        for (let head = 0; head < group; head++) {
          sum += values[(map * group + head) * length + token] ?? NaN;
        }
        return sum / group;
      });
    const weight = layerWeights?.[Math.floor(map / (count / layers))] ?? 1;
    const [soft, target] = [row(maps.attention), row(maps.target)];
    total += weight * (loss === "mse" ? squares(soft, target) : divergence(soft, target));
  }
  return total / count;
}

function squares(soft: readonly number[], target: readonly number[]): number {
  const sum = soft.reduce((total, value, i) => total + (value - (target[i] ?? NaN)) ** 2, 0);
  return sum / soft.length;
}

function divergence(soft: readonly number[], target: readonly number[]): number {
  const add = (values: readonly number[]) => values.reduce((a, b) => a + b);
  const [softSum, targetSum] = [add(soft), add(target)];
  return add(target.map((value, i) => {
    const p = value / targetSum;
    return p === 0 ? 0 : p * Math.log(p / ((soft[i] ?? NaN) / softSum));
  }));
}
