import type { QuantisedType } from "../runtime/checkpoint/block_groups.ts";
import { dequantise } from "../runtime/checkpoint/dequantise.ts";
import { BLOCK_LAYOUTS } from "../runtime/checkpoint/tensor_types.ts";

/** Where a format keeps its float16 scale and minimum, and the minimum that centres its numbers. */
const SCALES: Readonly<
  Record<QuantisedType, readonly [at: number, minimumAt?: number, by?: number]>
> = {
  Q8_0: [0],
  Q4_0: [0],
  Q4_1: [0, 2, -7.5],
  Q5_0: [0],
  Q5_1: [0, 2, -15.5],
  Q2_K: [80, 82, 1.5],
  Q3_K: [108],
  Q4_K: [0, 2, 7.5],
  Q5_K: [0, 2, 15.5],
  Q6_K: [208],
  IQ4_NL: [0],
  IQ4_XS: [0],
};

/** Random blocks of a format whose numbers spread by `deviation` around 0. */
export function randomBlocks(
  type: QuantisedType,
  elements: number,
  deviation: number,
  seed: number,
): Uint8Array {
  const layout = BLOCK_LAYOUTS[type];
  const bytes = new Uint8Array(elements / layout.elements * layout.bytes);
  let state = (seed * 2654435761) >>> 0;
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  const [at, minimumAt, by = 0] = SCALES[type];
  const view = new DataView(bytes.buffer);
  const setScale = (scale: number) => {
    for (let block = 0; block < bytes.length; block += layout.bytes) {
      view.setFloat16(block + at, scale, true);
      if (minimumAt !== undefined) view.setFloat16(block + minimumAt, scale * by, true);
    }
  };
  setScale(1);
  const numbers = new Float32Array(elements);
  dequantise(type, bytes, numbers);
  const spread = Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / elements);
  setScale(deviation / spread);
  return bytes;
}
