import { ELEMENT_TYPE, type ElementType, type GraphBuilder, type Value } from "./graph.ts";

/** A value in another number format. */
export function cast(
  graph: GraphBuilder,
  value: Value,
  to: ElementType,
  names: readonly Value[] = [],
): Value {
  return graph.op("Cast", [value], { attributes: { to: { int: ELEMENT_TYPE[to] } }, names });
}
