import {
  createKeySimilarityKernel,
  type KeySimilarityKernel,
} from "../../kernels/key_similarity.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";

/** Small kernels that compute on behalf of policies. Each is made when it is first asked for. */
export interface LayerKernels extends AsyncDisposable {
  /** Cosines between keys. */
  similarity(): Promise<KeySimilarityKernel>;
}

/** Kernels for the layers of a model. Owns them. */
export function layerKernels(config: ModelConfig, threads: number): LayerKernels {
  let similarity: Promise<KeySimilarityKernel> | undefined;
  return {
    similarity: () => similarity ??= createKeySimilarityKernel(config, threads),
    async [Symbol.asyncDispose]() {
      const made = await similarity;
      similarity = undefined;
      await made?.[Symbol.asyncDispose]();
    },
  };
}
