import type { GraphBuilder, Value } from "../onnx/graph.ts";

/** What {@linkcode firstLargest} compares with. */
export interface LargestOf {
  /** The largest along the axis, as values are broadcast. */
  readonly largest: Value;
  /** The floats 0, 1, 2 and so on along the axis, as values are broadcast. */
  readonly places: Value;
  /** The axis that is compared along; it goes away. */
  readonly axis: number;
  /** How many there are along it, less one: `[1]`. */
  readonly last: Value;
}

/**
 * Where the largest value stands first, as floats; the last place where there is none, among what is no
 * number. `ArgMax` gives 64-bit integers, which a device leaves to the processor: they would cross.
 */
export function firstLargest(
  graph: GraphBuilder,
  values: Value,
  { largest, places, axis, last }: LargestOf,
): Value {
  const where = graph.op("Where", [graph.op("Equal", [values, largest]), places, last]);
  return graph.op("ReduceMin", [where, graph.integers([axis])], {
    attributes: { keepdims: { int: 0 } },
  });
}
