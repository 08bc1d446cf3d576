import {
  createKeySimilarityKernel,
  type KeySimilarityKernel,
} from "../../kernels/key_similarity.ts";
import {
  createOutputNormsKernel,
  outputByHead,
  type OutputNormsKernel,
} from "../../kernels/output_norms.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";

/** Small kernels that compute on behalf of policies. Each is made when it is first asked for. */
export interface LayerKernels extends AsyncDisposable {
  /** Cosines between keys. */
  similarity(): Promise<KeySimilarityKernel>;
  /** How far values can move a layer's output. */
  outputNorms(): Promise<OutputNormsKernel>;
  /** A layer's output matrix for them, read from the checkpoint. */
  outputByHead(layer: number): Float32Array;
}

/**
 * Kernels for the layers of a model. Owns them.
 *
 * @param readOutput Reads a layer's output matrix, `[hidden, heads · headDim]`.
 */
export function layerKernels(
  config: ModelConfig,
  threads: number,
  readOutput: (layer: number) => Float32Array,
): LayerKernels {
  let similarity: Promise<KeySimilarityKernel> | undefined;
  let norms: Promise<OutputNormsKernel> | undefined;
  // The heads of a layer may ask one after the other. Held weakly: no second copy of weights stays.
  let last: { readonly layer: number; readonly matrix: WeakRef<Float32Array> } | undefined;
  return {
    similarity: () => similarity ??= createKeySimilarityKernel(config, threads),
    outputNorms: () => norms ??= createOutputNormsKernel(config, config.hidden, threads),
    outputByHead(layer) {
      const known = last?.layer === layer ? last.matrix.deref() : undefined;
      if (known) return known;
      const matrix = outputByHead(readOutput(layer), config);
      last = { layer, matrix: new WeakRef(matrix) };
      return matrix;
    },
    async [Symbol.asyncDispose]() {
      const made = [await similarity, await norms];
      similarity = norms = undefined;
      for (const kernel of made) await kernel?.[Symbol.asyncDispose]();
    },
  };
}
