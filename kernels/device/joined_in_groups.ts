import type { GraphBuilder, Value } from "../onnx/graph.ts";

/** Tensors that one node joins: a kernel binds ten, not more. */
const JOINED = 8;

/** Any number of tensors, one behind the other along their first axis. */
export function joinedInGroups(graph: GraphBuilder, parts: readonly Value[]): Value {
  let left = parts;
  while (left.length > 1) {
    const joined: Value[] = [];
    for (let at = 0; at < left.length; at += JOINED) {
      const some = left.slice(at, at + JOINED);
      const [only = ""] = some;
      joined.push(
        some.length === 1 ? only : graph.op("Concat", some, { attributes: { axis: { int: 0 } } }),
      );
    }
    left = joined;
  }
  return left[0] ?? "";
}
