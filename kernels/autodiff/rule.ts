import type { Dimension, GraphBuilder, GraphNode, Value } from "../onnx/graph.ts";

/** Sizes of a value; names stand for sizes that are known when the graph runs. */
export type Shape = readonly Dimension[];

/** What is known of a forward graph before it runs. */
export interface Known {
  /** @throws {TypeError} If the shape cannot be told, naming the operator. */
  shape(value: Value): Shape;
  /**
   * Numbers of a constant list.
   *
   * @throws {TypeError} If the value is not a constant of 64-bit integers.
   */
  integers(value: Value): readonly number[];
  /**
   * A list of sizes: a constant, sizes of a value, or some of each.
   *
   * @throws {TypeError} If the value is none of these.
   */
  sizes(value: Value): Shape;
}

/**
 * The gradient that an input receives from one node.
 *
 * It has the input's shape; a `narrow` one has size 1 where the input is wider, and stands for the
 * same number all along those axes.
 */
export type Contribution = Value | { readonly narrow: Value };

/** One forward node on the way back. */
export interface BackwardStep {
  readonly node: GraphNode;
  /** Where the nodes of the backward pass go. They see the forward values by name. */
  readonly graph: GraphBuilder;
  readonly known: Known;
  /** Gradient of each output; absent where the loss does not depend on it. */
  readonly gradients: readonly (Value | undefined)[];
  /** Gradient of the first output. */
  readonly gradient: Value;
  /** Whether an input has anything to do with what is differentiated by. */
  wants(input: number): boolean;
}

/** Shapes and derivative of an operator. */
export interface Rule {
  /** Shapes of the outputs. */
  shapes(node: GraphNode, known: Known): readonly Shape[];
  /** What each input receives; only wanted inputs count, and need not be there otherwise. */
  backward(step: BackwardStep): readonly (Contribution | undefined)[];
}

/** Rules by the name of the operator. */
export type Rules = Readonly<Record<string, Rule>>;

/** Input of a node by its place. */
export function inputOf({ operator, inputs }: GraphNode, index: number): Value {
  const input = inputs[index];
  if (!input) throw new TypeError(`Cannot differentiate ${operator}: it has no input ${index}`);
  return input;
}

/** Whole number among the attributes of a node. */
export function intOf({ attributes }: GraphNode, name: string, otherwise: number): number {
  const attribute = attributes[name];
  return attribute && "int" in attribute ? attribute.int : otherwise;
}

/** Fraction among the attributes of a node. */
export function floatOf({ attributes }: GraphNode, name: string, otherwise: number): number {
  const attribute = attributes[name];
  return attribute && "float" in attribute ? attribute.float : otherwise;
}

/** An axis counted from the front. */
export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** A number as a constant. */
export function scalar(graph: GraphBuilder, value: number): Value {
  return graph.constant(Float32Array.of(value), []);
}

/** The shape of a forward value, as `Expand` wants it. */
export function wholeShape(graph: GraphBuilder, { shape }: Known, value: Value): Value {
  const sizes = shape(value);
  const numbers = sizes.filter((size) => typeof size === "number");
  return numbers.length === sizes.length ? graph.integers(numbers) : graph.op("Shape", [value]);
}

/** A value in the shape of a forward value with as many elements. */
export function reshapeLike(
  graph: GraphBuilder,
  value: Value,
  { shape }: Known,
  like: Value,
): Value {
  const sizes = shape(like).map((size) => typeof size === "string" ? -1 : size);
  // Asking the value for its shape would keep it alive, so it is the last resort.
  const single = sizes.filter((size) => size === -1).length <= 1;
  const target = single ? graph.integers(sizes) : graph.op("Shape", [like]);
  return graph.op("Reshape", [value, target]);
}
