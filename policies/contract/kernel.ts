import type { LayerShape } from "./layer_shape.ts";

/** A tensor of a kernel, by the name that a {@linkcode KernelBuilder} gave it. */
export type KernelValue = string;

/** An attribute of an ONNX operator. */
export type KernelAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly text: string };

/**
 * Builds a kernel: arithmetic on a layer as a graph of ONNX operators (opset 21), which runs where the
 * cache lives. Tensors are 32-bit floats unless an operator makes others. No size may be 0.
 *
 * A kernel that does not read `length` is built once, for layers of any length; one that asks
 * {@linkcode KernelBuilder.atLeast} once for each answer.
 */
export interface KernelBuilder extends Readonly<Pick<LayerShape, "heads" | "kvHeads" | "headDim">> {
  /** Tokens that are shown. A kernel that reads it is built, and loaded, anew for layers of another length. */
  readonly length: number;
  /** Whether at least so many tokens are shown. */
  atLeast(count: number): boolean;
  /** How many tokens are shown, a 64-bit integer `[1]`, as operators want sizes and ends. */
  tokens(): KernelValue;
  /** The floats 0, 1, 2 and so on, one for each token, `[length]`. */
  counting(): KernelValue;
  /** Keys, rotated at their positions, `[kvHeads, length, headDim]`: head by head. */
  keys(): KernelValue;
  /** Values, `[kvHeads, length, headDim]`. */
  values(): KernelValue;
  /** `LayerView.attention()`, `[heads, length]`. */
  attention(): KernelValue;
  /** `LayerView.groupAttention()`, `[kvHeads, length]`. */
  groupAttention(): KernelValue;
  /** `LayerView.draftAttention()`, `[heads, length]`. */
  draftAttention(): KernelValue;
  /** `LayerView.expectedLogits()`, `[heads, length]` each. */
  expectedLogits(): { readonly mean: KernelValue; readonly variance: KernelValue };
  /** `LayerView.outputNorms()`, `[kvHeads, length]`. */
  outputNorms(): KernelValue;
  /**
   * Numbers that are made in main memory for each layer and sent, such as positions.
   *
   * @param shape `"length"` stands for as many as there are tokens.
   */
  given(
    shape: readonly (number | "length")[],
    make: (layer: LayerShape) => Float32Array,
  ): KernelValue;
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

/** The same scores as a `Score` gives, `[kvHeads, length]`. */
export type ScoreKernel = (builder: KernelBuilder) => KernelValue;

/** The same scores as a `Rescore` gives, made of `[kvHeads, length]`. */
export type RescoreKernel = (builder: KernelBuilder, scores: KernelValue) => KernelValue;
