import type { GraphBuilder, GraphNode, Value } from "../onnx/graph.ts";
import type { Known } from "./rule.ts";

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
