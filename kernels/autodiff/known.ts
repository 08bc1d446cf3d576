import type { Graph, GraphNode, Value } from "../onnx/graph.ts";
import { inputOf, intOf } from "./forward.ts";
import type { Known, Shape } from "./rule.ts";
import { findRule } from "./rules.ts";

/** Tells shapes and constants of a graph; shapes are worked out when they are asked for. */
export function knowledgeOf({ nodes, inputs, initializers }: Graph): Known {
  const makers = new Map<Value, GraphNode>();
  for (const node of nodes) for (const output of node.outputs) makers.set(output, node);
  const constants = new Map(initializers.map((initializer) => [initializer.name, initializer]));
  const shapes = new Map<Value, Shape>(
    [...inputs, ...initializers].map(({ name, shape }) => [name, shape]),
  );
  const known: Known = {
    shape(value) {
      const shape = shapes.get(value);
      if (shape) return shape;
      const node = makers.get(value);
      if (!node) throw new TypeError(`Cannot tell the shape of ${value}: nothing makes it`);
      const made = findRule(node)?.shapes(node, known) ?? [];
      node.outputs.forEach((output, index) => {
        const shape = made[index];
        if (shape) shapes.set(output, shape);
      });
      const found = shapes.get(value);
      if (found) return found;
      throw new TypeError(
        `Cannot tell the shape of ${value}: the operator ${node.operator} that makes it has no rule`,
      );
    },
    integers(value) {
      const constant = constants.get(value);
      if (constant?.type !== "int64" || !("bytes" in constant.data)) {
        throw new TypeError(`Cannot read ${value}: it is not a constant list of integers`);
      }
      const { bytes } = constant.data;
      return [...new BigInt64Array(bytes.slice().buffer)].map(Number);
    },
    sizes(value) {
      const node = makers.get(value);
      if (node?.operator === "Concat") return node.inputs.flatMap(known.sizes);
      if (node?.operator !== "Shape") return known.integers(value);
      const shape = known.shape(inputOf(node, 0));
      return shape.slice(intOf(node, "start", 0), intOf(node, "end", shape.length));
    },
  };
  return known;
}
