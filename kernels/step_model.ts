import type { HeadShape } from "./attention_nodes.ts";
import type { Weight } from "./weight.ts";

/** A product and, where the checkpoint has one, the bias added to it. */
export interface Linear {
  readonly weight: Weight;
  /** `[rows]`. */
  readonly bias?: Float32Array;
}

/** Weights of one transformer layer. Norms are small and travel inside the graph. */
export interface LayerWeights {
  readonly attentionNorm: Float32Array;
  /** Queries, keys, values: one fused product or three, in this order. */
  readonly qkv: readonly Linear[];
  readonly queryNorm?: Float32Array;
  readonly keyNorm?: Float32Array;
  readonly attentionOutput: Linear;
  readonly mlpNorm: Float32Array;
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
}

/** All that the graphs of a model are built from. */
export interface StepModel extends HeadShape {
  readonly hidden: number;
  readonly intermediate: number;
  readonly vocabulary: number;
  readonly rmsEpsilon: number;
  readonly embedding: Weight;
  /** Absent: tied to the embedding. */
  readonly output?: Weight;
  readonly finalNorm: Float32Array;
  readonly layers: readonly LayerWeights[];
}
