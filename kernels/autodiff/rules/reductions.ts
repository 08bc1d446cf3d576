import { axisOf, inputOf, intOf, scalar } from "../forward.ts";
import type { BackwardStep, Known, Rule, Rules, Shape } from "../rule.ts";
import { cast } from "../../onnx/cast.ts";
import type { GraphNode, Value } from "../../onnx/graph.ts";

function axesOf(node: GraphNode, known: Known): number[] {
  const rank = known.shape(inputOf(node, 0)).length;
  const axes = node.inputs[1];
  if (!axes) return Array.from({ length: rank }, (_, axis) => axis);
  return known.integers(axes).map((axis) => axisOf(axis, rank));
}

function keptShape(node: GraphNode, known: Known): Shape {
  const axes = axesOf(node, known);
  return known.shape(inputOf(node, 0)).map((size, axis) => axes.includes(axis) ? 1 : size);
}

function shapes(node: GraphNode, known: Known): Shape[] {
  const kept = keptShape(node, known);
  if (intOf(node, "keepdims", 1) === 1) return [kept];
  const axes = axesOf(node, known);
  return [kept.filter((_, axis) => !axes.includes(axis))];
}

/** The gradient with its reduced axes of size 1 in place: what the input receives, narrow. */
function restored({ node, graph, known, gradient }: BackwardStep): Value {
  if (intOf(node, "keepdims", 1) === 1) return gradient;
  return graph.op("Unsqueeze", [gradient, graph.integers(axesOf(node, known))]);
}

const sum: Rule = {
  shapes,
  backward: (step) => [{ narrow: restored(step) }],
};

const mean: Rule = {
  shapes,
  backward(step) {
    const { node, graph, known } = step;
    const sizes = known.shape(inputOf(node, 0));
    const axes = axesOf(node, known);
    const counts = axes.map((axis) => sizes[axis]);
    const fixed = counts.filter((count) => typeof count === "number");
    const count = fixed.length === counts.length
      ? scalar(graph, fixed.reduce((a, b) => a * b, 1))
      : openCount(step, axes);
    return [{ narrow: graph.op("Div", [restored(step), count]) }];
  },
};

function openCount({ node, graph }: BackwardStep, axes: readonly number[]): Value {
  const shape = graph.op("Shape", [inputOf(node, 0)]);
  const sizes = graph.op("Gather", [shape, graph.integers(axes)]);
  const count = graph.op("ReduceProd", [sizes], { attributes: { keepdims: { int: 0 } } });
  return cast(graph, count, "float32");
}

/** The largest number takes all; those that are equal share it. */
const max: Rule = {
  shapes,
  backward(step) {
    const { node, graph, known } = step;
    const [source, axes] = [inputOf(node, 0), graph.integers(axesOf(node, known))];
    const kept = { attributes: { keepdims: { int: 1 } } };
    const most = graph.op("ReduceMax", [source, axes], kept);
    const taken = cast(graph, graph.op("Equal", [source, most]), "float32");
    const share = graph.op("Div", [restored(step), graph.op("ReduceSum", [taken, axes], kept)]);
    return [graph.op("Mul", [taken, share])];
  },
};

/** Sums, means and largest numbers over axes. */
export const REDUCTIONS: Rules = { ReduceMax: max, ReduceSum: sum, ReduceMean: mean };
