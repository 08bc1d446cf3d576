import { outputByHead } from "../../kernels/output_norms.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";

/** Gives output matrices head by head. The last one is held weakly: no second copy of weights stays. */
export function outputMatrices(
  config: ModelConfig,
  readOutput: (layer: number) => Float32Array,
): (layer: number) => Float32Array {
  let last: { readonly layer: number; readonly matrix: WeakRef<Float32Array> } | undefined;
  return (layer) => {
    const known = last?.layer === layer ? last.matrix.deref() : undefined;
    if (known) return known;
    const matrix = outputByHead(readOutput(layer), config);
    last = { layer, matrix: new WeakRef(matrix) };
    return matrix;
  };
}
