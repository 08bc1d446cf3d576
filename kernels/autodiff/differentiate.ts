import type { Graph, GraphBuilder, GraphNode, Value } from "../onnx/graph.ts";
import { knowledgeOf } from "./known.ts";
import { wholeShape } from "./forward.ts";
import type { Contribution, Known } from "./rule.ts";
import { ruleOf } from "./rules.ts";

/** What {@linkcode differentiate} needs besides the forward graph. */
export interface DifferentiateOptions {
  /** The number to differentiate: a value of one element. */
  readonly loss: Value;
  /** Values to differentiate by: inputs, or values that nodes make. */
  readonly by: readonly Value[];
  /** Where the backward nodes go: the builder of the forward graph, or of a branch of it. */
  readonly into: GraphBuilder;
}

/**
 * Emits the nodes that differentiate a number of a graph, in reverse mode.
 *
 * Only what lies between `by` and `loss` is visited. Everything else is a constant, made by any
 * operators, if its shape need not be known: it must where sizes are matched, as in a sum.
 *
 * @returns The gradient of each value of `by`, in its shape. Values that the loss does not depend on
 * are left out.
 * @throws {TypeError} If an operator on the way has no rule, naming it.
 */
export function differentiate(
  forward: Graph,
  { loss, by, into }: DifferentiateOptions,
): ReadonlyMap<Value, Value> {
  // The builder may be that of the forward graph, whose list of nodes grows from now on.
  const nodes = [...forward.nodes];
  const known = knowledgeOf({ ...forward, nodes });
  const varying = dependents(nodes, by);
  const steps = wayBack(nodes, loss, varying).map((node) => ({ node, rule: ruleOf(node) }));
  const received = new Map<Value, Contribution[]>();
  const gradients = new Map<Value, Value>();
  const gradientOf = (value: Value): Value | undefined => {
    const contributions = received.get(value);
    if (!contributions) return undefined;
    const sum = gradients.get(value) ?? addUp(into, known, value, contributions);
    gradients.set(value, sum);
    return sum;
  };
  if (varying.has(loss)) received.set(loss, [ones(into, known, loss)]);
  for (const { node, rule } of steps) {
    const outputs = node.outputs.map(gradientOf);
    const gradient = outputs[0] ?? outputs.find((output) => output !== undefined);
    if (gradient === undefined) continue;
    const wants = (input: number) => varying.has(node.inputs[input] ?? "");
    const made = rule.backward({
      node,
      graph: into,
      known,
      gradients: outputs,
      gradient,
      wants,
    });
    node.inputs.forEach((input, index) => {
      const contribution = made[index];
      if (contribution === undefined || !wants(index)) return;
      received.set(input, [...received.get(input) ?? [], contribution]);
    });
  }
  return new Map(by.flatMap((value) => {
    const gradient = gradientOf(value);
    return gradient === undefined ? [] : [[value, gradient]];
  }));
}

/** The values that change with the given ones. */
function dependents(nodes: readonly GraphNode[], by: readonly Value[]): ReadonlySet<Value> {
  const varying = new Set(by);
  for (const { operator, inputs, outputs } of nodes) {
    // The shape stays when the numbers change.
    if (operator !== "Shape" && inputs.some((input) => varying.has(input))) {
      for (const output of outputs) varying.add(output);
    }
  }
  return varying;
}

/** The nodes between what varies and the loss, the last one first. */
function wayBack(
  nodes: readonly GraphNode[],
  loss: Value,
  varying: ReadonlySet<Value>,
): readonly GraphNode[] {
  const leading = new Set([loss]);
  return nodes.toReversed().filter(({ inputs, outputs }) => {
    if (!outputs.some((output) => leading.has(output) && varying.has(output))) return false;
    for (const input of inputs) leading.add(input);
    return true;
  });
}

function ones(graph: GraphBuilder, known: Known, loss: Value): Value {
  const shape = known.shape(loss);
  if (shape.some((size) => size !== 1)) {
    throw new TypeError(
      `Cannot differentiate ${loss} [${shape.join(", ")}]: a loss is a single number`,
    );
  }
  return graph.constant(Float32Array.of(1), shape.map(() => 1));
}

// Narrow contributions widen for nothing when they are added to a full one, so they come last.
function addUp(
  graph: GraphBuilder,
  known: Known,
  value: Value,
  contributions: readonly Contribution[],
): Value {
  const full = contributions.filter((contribution) => typeof contribution === "string");
  const narrow = contributions.flatMap((contribution) =>
    typeof contribution === "string" ? [] : [contribution.narrow]
  );
  const add = (values: readonly Value[]) => values.reduce((a, b) => graph.op("Add", [a, b]));
  if (narrow.length === 0) return add(full);
  if (full.length > 0) return add([...full, ...narrow]);
  return graph.op("Expand", [add(narrow), wholeShape(graph, known, value)]);
}
