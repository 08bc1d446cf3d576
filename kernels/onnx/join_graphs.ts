import type { Graph, Port, Value } from "./graph.ts";
import { renamed } from "./repeat_graph.ts";

/**
 * A graph that does what two do, one behind the other.
 *
 * @param links Inputs of the second graph and the outputs of the first that they are.
 * @returns Its inputs are those of both, one for each name; its outputs are those of the second.
 */
export function joinGraphs(
  first: Graph,
  second: Graph,
  links: ReadonlyMap<Value, Value>,
): Graph {
  const ports = new Set([...second.inputs, ...second.outputs].map(({ name }) => name));
  const later = renamed(second, (name) => {
    const linked = links.get(name);
    if (linked !== undefined) return linked;
    return name === "" || ports.has(name) ? name : `then/${name}`;
  });
  const own = second.inputs.filter(({ name }) => !links.has(name));
  const inputs = new Map<Value, Port>();
  for (const port of [...first.inputs, ...own]) {
    if (!inputs.has(port.name)) inputs.set(port.name, port);
  }
  return {
    name: first.name,
    nodes: [...first.nodes, ...later.nodes],
    initializers: [...first.initializers, ...later.initializers],
    inputs: [...inputs.values()],
    outputs: second.outputs,
  };
}
