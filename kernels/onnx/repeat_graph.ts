import type { Attribute, Graph, GraphNode, Port, Value } from "./graph.ts";

/** Name of a value in one of the copies of a graph. */
export function nameInCopy(copy: number, name: Value): Value {
  return `copy ${copy}/${name}`;
}

/**
 * A graph that does several times what a graph does, side by side: inputs and outputs once for each
 * copy, under {@linkcode nameInCopy}; constants once for all.
 *
 * @param once Inputs that are the same for all copies, and keep their names.
 */
export function repeatGraph(
  graph: Graph,
  copies: number,
  once: ReadonlySet<Value> = new Set(),
): Graph {
  const shared = new Set([...once, ...graph.initializers.map(({ name }) => name)]);
  const all = Array.from({ length: copies }, (_, copy) => {
    const rename = (name: Value): Value =>
      name === "" || shared.has(name) ? name : nameInCopy(copy, name);
    return renamed(graph, rename);
  });
  return {
    name: graph.name,
    initializers: graph.initializers,
    nodes: all.flatMap(({ nodes }) => nodes),
    inputs: [
      ...graph.inputs.filter(({ name }) => once.has(name)),
      ...all.flatMap(({ inputs }) => inputs.filter(({ name }) => !once.has(name))),
    ],
    outputs: all.flatMap(({ outputs }) => outputs),
  };
}

/** The same graph with other names. */
export function renamed(graph: Graph, rename: (name: Value) => Value): Graph {
  const port = ({ name, type, shape }: Port): Port => ({
    name: rename(name),
    type,
    // A size that has a name is that of its copy alone.
    shape: shape.map((size) => typeof size === "string" ? rename(size) : size),
  });
  return {
    name: graph.name,
    initializers: graph.initializers.map((one) => ({ ...one, name: rename(one.name) })),
    nodes: graph.nodes.map((node): GraphNode => ({
      ...node,
      inputs: node.inputs.map(rename),
      outputs: node.outputs.map(rename),
      attributes: Object.fromEntries(
        Object.entries(node.attributes).map(([name, value]): [string, Attribute] => [
          name,
          "graph" in value ? { graph: renamed(value.graph, rename) } : value,
        ]),
      ),
    })),
    inputs: graph.inputs.map(port),
    outputs: graph.outputs.map(port),
  };
}
