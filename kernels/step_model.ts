import type { HeadShape } from "./attention_nodes.ts";
import type { Weight } from "./weight.ts";

/** A product and, where the checkpoint has one, the bias added to it. */
export interface Linear {
  readonly weight: Weight;
  /** `[rows]`. */
  readonly bias?: Float32Array;
}

/** How a layer sees the text before it. */
export interface LayerKind {
  /** Tokens that a query sees at most, itself among them. Absent: all, the layer is a global one. */
  readonly window?: number;
  /** Index of the layer's rotary table in `ropes`. Absent: queries and keys are not rotated. */
  readonly rope?: number;
}

/** What the gate of a feed-forward layer goes through; `gelu_tanh` is GELU by its tanh form. */
export type Activation = "silu" | "gelu_tanh";

/**
 * Weights of one transformer layer. Norms are small and travel inside the graph; they are the factors
 * that are multiplied with, whatever a checkpoint stores.
 */
export interface LayerWeights {
  readonly attentionNorm: Float32Array;
  /** Queries, keys, values: one fused product or three, in this order. */
  readonly qkv: readonly Linear[];
  readonly queryNorm?: Float32Array;
  readonly keyNorm?: Float32Array;
  readonly attentionOutput: Linear;
  /** Of what attention gives, before it is added to the stream. */
  readonly attentionOutputNorm?: Float32Array;
  readonly mlpNorm: Float32Array;
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
  /** Of what the feed-forward layer gives, before it is added to the stream. */
  readonly mlpOutputNorm?: Float32Array;
}

/** All that the graphs of a model are built from. */
export interface StepModel extends HeadShape {
  readonly hidden: number;
  readonly intermediate: number;
  readonly vocabulary: number;
  readonly rmsEpsilon: number;
  /** One for each rotary table of a step, one or two; only their number matters here. */
  readonly ropes: readonly unknown[];
  /** One per layer. */
  readonly layerKinds: readonly LayerKind[];
  readonly activation: Activation;
  /** Factor on looked-up embeddings; rows that are given as embeddings stand as they are. */
  readonly embeddingScale: number;
  /** Factor on products of queries and keys. */
  readonly attentionScale: number;
  readonly embedding: Weight;
  /** Absent: tied to the embedding. */
  readonly output?: Weight;
  readonly finalNorm: Float32Array;
  readonly layers: readonly LayerWeights[];
}
