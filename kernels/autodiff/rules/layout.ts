import { axisOf, inputOf, reshapeLike } from "../forward.ts";
import type { BackwardStep, Known, Rule, Rules, Shape } from "../rule.ts";
import type { Dimension, GraphNode } from "../../onnx/graph.ts";

/** The numbers stay in their order: the gradient goes back in the input's shape. */
function rearranged(shapes: (node: GraphNode, known: Known) => Shape): Rule {
  return {
    shapes: (node, known) => [shapes(node, known)],
    backward: ({ node, graph, known, gradient }: BackwardStep) => [
      reshapeLike(graph, gradient, known, inputOf(node, 0)),
    ],
  };
}

function reshaped(node: GraphNode, known: Known): Shape {
  const source = known.shape(inputOf(node, 0));
  const target = known.integers(inputOf(node, 1))
    .map((size, axis): Dimension => size === 0 ? source[axis] ?? 0 : size);
  return target.map((size) => size === -1 ? quotient(source, target) : size);
}

/** The size that is left over for -1. */
function quotient(source: Shape, target: Shape): Dimension {
  const numbers = (shape: Shape) =>
    shape.reduce<number>(
      (total, size) => typeof size === "number" ? total * Math.abs(size) : total,
      1,
    );
  const names = (shape: Shape) => shape.filter((size) => typeof size === "string");
  const factor = numbers(source) / numbers(target);
  const open = names(source);
  for (const name of names(target)) {
    const at = open.indexOf(name);
    if (at >= 0) open.splice(at, 1);
  }
  if (open.length === 0) return factor;
  return factor === 1 ? open.join("*") : `${factor}*${open.join("*")}`;
}

function squeezed(node: GraphNode, known: Known): Shape {
  const source = known.shape(inputOf(node, 0));
  const axes = known.integers(inputOf(node, 1)).map((axis) => axisOf(axis, source.length));
  return source.filter((_, axis) => !axes.includes(axis));
}

function unsqueezed(node: GraphNode, known: Known): Shape {
  const rest = [...known.shape(inputOf(node, 0))];
  const added = known.integers(inputOf(node, 1));
  const rank = rest.length + added.length;
  const axes = added.map((axis) => axisOf(axis, rank));
  return Array.from({ length: rank }, (_, axis) => axes.includes(axis) ? 1 : rest.shift() ?? 1);
}

function permutation(node: GraphNode, known: Known): readonly number[] {
  const { perm } = node.attributes;
  if (perm && "ints" in perm) return perm.ints;
  return known.shape(inputOf(node, 0)).map((_, axis) => axis).reverse();
}

const transpose: Rule = {
  shapes(node, known) {
    const source = known.shape(inputOf(node, 0));
    return [permutation(node, known).map((axis) => source[axis] ?? 1)];
  },
  backward({ node, graph, known, gradient }) {
    const perm = permutation(node, known);
    const inverse = perm.map((_, axis) => perm.indexOf(axis));
    return [graph.op("Transpose", [gradient], { attributes: { perm: { ints: inverse } } })];
  },
};

/** Operators that only lay numbers out anew. */
export const LAYOUT: Rules = {
  Reshape: rearranged(reshaped),
  Squeeze: rearranged(squeezed),
  Unsqueeze: rearranged(unsqueezed),
  Transpose: transpose,
};
