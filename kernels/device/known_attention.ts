import type { AttentionShape } from "../attention_nodes.ts";
import type { CacheElement } from "./layer_buffers.ts";

/** Heads that attend, within a window or not. */
export interface TriedHeads extends AttentionShape {
  readonly window?: number;
}

const TOLERANCE = { float32: 1e-3, float16: 2e-2 } as const;

/** Whether numbers are those that were expected, as near as their type allows. */
export function isClose(
  actual: Float32Array,
  expected: Float32Array,
  element: CacheElement,
): boolean {
  return expected.every((value, index) =>
    Math.abs(value - (actual[index] ?? NaN)) <= TOLERANCE[element]
  );
}

/** Numbers between -1 and 1 that 16-bit floats hold well. */
export function waves(count: number, seed: number): Float32Array {
  return Float32Array.from(
    { length: count },
    (_, index) => Math.round(64 * Math.sin(index * 12.9898 * seed + seed)) / 64,
  );
}

/** Causal attention, plainly. */
export function attention(
  { heads, kvHeads, headDim, attentionScale, window = Infinity }: TriedHeads,
  queries: Float32Array,
  { keys, values }: { readonly keys: readonly number[]; readonly values: readonly number[] },
  before: number,
): Float32Array {
  const mixed = new Float32Array(queries.length);
  for (let row = 0; row < queries.length / headDim; row++) {
    const kvHead = Math.floor((row % heads) * kvHeads / heads);
    const seen = before + Math.floor(row / heads) + 1;
    const at = (token: number, column: number) => (token * kvHeads + kvHead) * headDim + column;
    const first = Math.max(0, seen - window);
    const weights = Array.from({ length: seen - first }, (_, behind) => {
      const token = first + behind;
      let product = 0;
      for (let column = 0; column < headDim; column++) {
        product += (queries[row * headDim + column] ?? 0) * (keys[at(token, column)] ?? 0);
      }
      return Math.exp(product * attentionScale);
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [behind, weight] of weights.entries()) {
      const token = first + behind;
      for (let column = 0; column < headDim; column++) {
        const index = row * headDim + column;
        mixed[index] = (mixed[index] ?? 0) + weight / total * (values[at(token, column)] ?? 0);
      }
    }
  }
  return mixed;
}
