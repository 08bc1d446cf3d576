import type { Graph, GraphNode } from "../onnx/graph.ts";

/**
 * A graph whose products of two matrices are plain ones: FusedMatMul, which the processor runs
 * fastest, has no kernel on most devices and would bring its inputs back to main memory.
 *
 * @throws {RangeError} If a product is of more than two matrices of a kind that Gemm has not.
 */
export function withoutFusedMatMul(graph: Graph): Graph {
  return { ...graph, nodes: graph.nodes.map(plainNode) };
}

function plainNode(node: GraphNode): GraphNode {
  const attributes = Object.fromEntries(
    Object.entries(node.attributes).map(([name, attribute]) => [
      name,
      "graph" in attribute ? { graph: withoutFusedMatMul(attribute.graph) } : attribute,
    ]),
  );
  if (node.operator !== "FusedMatMul") return { ...node, attributes };
  const others = Object.keys(attributes).filter((name) => name !== "transB" && name !== "alpha");
  if (others.length === 0) return { ...node, operator: "Gemm", domain: "", attributes };
  throw new RangeError(`Cannot run FusedMatMul with '${others.join("', '")}' on a device`);
}
