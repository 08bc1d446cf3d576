import type { Graph, GraphNode } from "../../../kernels/onnx/graph.ts";
import { nameInCopy } from "../../../kernels/onnx/repeat_graph.ts";

/**
 * A graph of score graphs side by side with one ranking for all of them, whose output is `best [copies ·
 * kvHeads, count]`: sorting takes dozens of kernels however many rows there are, and each output that is
 * brought back is waited for.
 *
 * @throws {RangeError} If a copy has no ranking.
 */
export function rankTogether(graph: Graph, copies: number): Graph {
  const rankings = Array.from({ length: copies }, (_, copy): GraphNode => {
    const best = nameInCopy(copy, "best");
    const found = graph.nodes.find(({ operator, outputs }) =>
      operator === "TopK" && outputs.includes(best)
    );
    if (found) return found;
    throw new RangeError(`Cannot rank copy ${copy} of ${graph.name}: it has no TopK of its own`);
  });
  const [first] = rankings;
  const [port] = graph.outputs;
  if (!first || !port) throw new RangeError(`Cannot rank ${graph.name}: it has no copy`);
  const [rows = 1, count = 1] = port.shape;
  const all = rankings.map(({ inputs: [values = ""] }) => values);
  return {
    ...graph,
    nodes: [
      ...graph.nodes.filter((node) => !rankings.includes(node)),
      {
        ...{ operator: "Concat", domain: "", inputs: all, outputs: ["all_values"] },
        attributes: { axis: { int: 0 } },
      },
      {
        ...first,
        inputs: ["all_values", ...first.inputs.slice(1)],
        outputs: ["best_values", "best"],
      },
    ],
    outputs: [{ ...port, name: "best", shape: [copies * Number(rows), count] }],
  };
}
