/**
 * Scores as graphs that run where the cache lives. Policies import all of it from `policy.ts`.
 *
 * @module
 */
import type { LayerView, MaybePromise } from "./policy.ts";

/** A tensor of a kernel, by the name that a {@linkcode KernelBuilder} gave it. */
export type KernelValue = string;

/** An attribute of an ONNX operator. */
export type KernelAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly text: string };

/** What a kernel may reckon with in main memory. */
export type KernelLayer = Pick<
  LayerView,
  "layer" | "layers" | "heads" | "kvHeads" | "headDim" | "length" | "positions"
>;

/**
 * Builds a kernel: arithmetic on a layer as a graph of ONNX operators (opset 21), which runs where the
 * cache lives. It is built anew for layers of another size: all sizes are plain numbers. Tensors are
 * 32-bit floats unless an operator makes others. No size may be 0.
 */
export interface KernelBuilder
  extends Readonly<Pick<LayerView, "heads" | "kvHeads" | "headDim" | "length">> {
  /** Keys, rotated at their positions, `[kvHeads, length, headDim]`: head by head. */
  keys(): KernelValue;
  /** Values, `[kvHeads, length, headDim]`. */
  values(): KernelValue;
  /** {@linkcode LayerView.attention}, `[heads, length]`. */
  attention(): KernelValue;
  /** {@linkcode LayerView.groupAttention}, `[kvHeads, length]`. */
  groupAttention(): KernelValue;
  /** {@linkcode LayerView.expectedLogits}, `[heads, length]` each. */
  expectedLogits(): { readonly mean: KernelValue; readonly variance: KernelValue };
  /** {@linkcode LayerView.outputNorms}, `[kvHeads, length]`. */
  outputNorms(): KernelValue;
  /** Numbers that are made in main memory for each layer and sent, such as positions. */
  given(shape: readonly number[], make: (layer: KernelLayer) => Float32Array): KernelValue;
  /** Numbers that are the same for every layer. */
  constant(numbers: Float32Array, shape: readonly number[]): KernelValue;
  /** A list of 64-bit integers, as operators want axes, shapes and counts. */
  integers(values: readonly number[]): KernelValue;
  /** One operator. An empty name stands for an input that is left out. */
  op(
    operator: string,
    inputs: readonly KernelValue[],
    attributes?: Readonly<Record<string, KernelAttribute>>,
  ): KernelValue;
  /** An operator with several outputs. */
  ops(
    operator: string,
    inputs: readonly KernelValue[],
    count: number,
    attributes?: Readonly<Record<string, KernelAttribute>>,
  ): readonly KernelValue[];
}

/** The same scores as a {@linkcode Score} gives, `[kvHeads, length]`. */
export type ScoreKernel = (builder: KernelBuilder) => KernelValue;

/** The same scores as a {@linkcode Rescore} gives, made of `[kvHeads, length]`. */
export type RescoreKernel = (builder: KernelBuilder, scores: KernelValue) => KernelValue;

/** Scores the tokens of a layer. */
export interface Score {
  (layer: LayerView): MaybePromise<Float32Array>;
  /**
   * The same scores where the cache lives: keys and values then stay there. It belongs to the function,
   * so that whoever puts another in its place does not inherit it. Absent: the score is shown copies.
   */
  readonly kernel?: ScoreKernel;
}

/** Scores the tokens of a layer anew. */
export interface Rescore {
  (layer: LayerView, scores: Float32Array): MaybePromise<Float32Array>;
  /** The same scores where the cache lives. */
  readonly kernel?: RescoreKernel;
}

/**
 * A score that can run where the cache lives as well.
 *
 * @param kernel Gives the same scores. Absent: only the function does.
 *
 * @example
 * ```ts
 * import { type ScorerPolicy, withKernel } from "./policy.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy: ScorerPolicy = {
 *   name: "weakest",
 *   evidence: { kind: "window", size: 8 },
 *   score: withKernel(
 *     async (layer) => (await layer.groupAttention()).map((paid) => -paid),
 *     (layer) => layer.op("Neg", [layer.groupAttention()]),
 *   ),
 * };
 * assertEquals(typeof policy.score.kernel, "function");
 * const other: ScorerPolicy = { ...policy, score: ({ length }) => new Float32Array(length) };
 * assertEquals(other.score.kernel, undefined);
 * ```
 */
export function withKernel(score: Score, kernel: ScoreKernel | undefined): Score;
/** The same for a second stage. */
export function withKernel(rescore: Rescore, kernel: RescoreKernel | undefined): Rescore;
export function withKernel<Args extends readonly unknown[], Result, Kernel>(
  score: (...args: Args) => Result,
  kernel: Kernel | undefined,
): typeof score & { readonly kernel?: Kernel } {
  const own = (...args: Args): Result => score(...args);
  return kernel === undefined ? own : Object.assign(own, { kernel });
}
