import { createDropEffectKernel, type DropEffectKernel } from "../../../kernels/drop_effect.ts";
import {
  createExpectedLogitsKernel,
  type ExpectedLogitsKernel,
} from "../../../kernels/expected_logits.ts";
import {
  createKeySimilarityKernel,
  type KeySimilarityKernel,
} from "../../../kernels/key_similarity.ts";
import {
  createMostAttentionKernel,
  type MostAttentionKernel,
} from "../../../kernels/most_attention.ts";
import {
  createOutputLengthsKernel,
  type OutputLengthsKernel,
} from "../../../kernels/output_lengths.ts";
import { createOutputNormsKernel, type OutputNormsKernel } from "../../../kernels/output_norms.ts";
import {
  createQueryAttentionKernel,
  createQueryWeightsKernel,
  type QueryAttentionKernel,
  type QueryWeightsKernel,
} from "../../../kernels/query_attention.ts";
import {
  createQueryStatisticsKernel,
  type QueryStatisticsKernel,
} from "../../../kernels/query_statistics.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import { outputMatrices } from "../output_matrices.ts";

/** Small kernels beside the step graph. Each is made when it is first asked for. */
export interface LayerKernels extends AsyncDisposable {
  /** Cosines between keys. */
  similarity(): Promise<KeySimilarityKernel>;
  /** How far values can move a layer's output. */
  outputNorms(): Promise<OutputNormsKernel>;
  /** Statistics of queries. */
  statistics(): Promise<QueryStatisticsKernel>;
  /** What logits to expect of Gaussian queries. */
  expectedLogits(): Promise<ExpectedLogitsKernel>;
  /** Attention of queries that follow a cache. */
  queryAttention(): Promise<QueryAttentionKernel>;
  /** The same, each query for itself. */
  queryWeights(): Promise<QueryWeightsKernel>;
  /** The most that one of some queries pays. */
  mostAttention(): Promise<MostAttentionKernel>;
  /** What outputs lose without a token. */
  dropEffect(): Promise<DropEffectKernel>;
  /** How long what values become in a layer's output is. */
  outputLengths(): Promise<OutputLengthsKernel>;
  /** A layer's output matrix, head by head, read from the checkpoint. */
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
  const made: Promise<AsyncDisposable>[] = [];
  const once = <Kernel extends AsyncDisposable>(create: () => Promise<Kernel>) => {
    let kernel: Promise<Kernel> | undefined;
    return (): Promise<Kernel> => {
      if (!kernel) made.push(kernel = create());
      return kernel;
    };
  };
  return {
    similarity: once(() => createKeySimilarityKernel(config, threads)),
    outputNorms: once(() => createOutputNormsKernel(config, config.hidden, threads)),
    statistics: once(() => createQueryStatisticsKernel(config, threads)),
    expectedLogits: once(() => createExpectedLogitsKernel(config, threads)),
    queryAttention: once(() => createQueryAttentionKernel(config, threads)),
    queryWeights: once(() => createQueryWeightsKernel(config, threads)),
    mostAttention: once(() => createMostAttentionKernel(config, threads)),
    dropEffect: once(() => createDropEffectKernel(config, threads)),
    outputLengths: once(() => createOutputLengthsKernel(config, config.hidden, threads)),
    outputByHead: outputMatrices(config, readOutput),
    async [Symbol.asyncDispose]() {
      for (const kernel of made) await (await kernel)[Symbol.asyncDispose]();
    },
  };
}
