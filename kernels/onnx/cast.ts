import {
  type Dimension,
  ELEMENT_TYPE,
  type ElementType,
  type GraphBuilder,
  type Value,
} from "./graph.ts";

/** A value in another number format. */
export function cast(
  graph: GraphBuilder,
  value: Value,
  to: ElementType,
  names: readonly Value[] = [],
): Value {
  return graph.op("Cast", [value], { attributes: { to: { int: ELEMENT_TYPE[to] } }, names });
}

/** Declares an input, and gives it as 32-bit floats. */
export function exactInput(
  graph: GraphBuilder,
  name: string,
  type: ElementType,
  shape: readonly Dimension[],
): Value {
  graph.input(name, type, shape);
  return type === "float32" ? name : cast(graph, name, "float32");
}
