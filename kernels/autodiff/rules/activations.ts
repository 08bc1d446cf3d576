import { ELEMENT_TYPE, type Value } from "../../onnx/graph.ts";
import { axisOf, floatOf, inputOf, intOf, scalar } from "../forward.ts";
import type { BackwardStep, Rule, Rules } from "../rule.ts";

const FLOATS: readonly number[] = [
  ELEMENT_TYPE.float32,
  ELEMENT_TYPE.float16,
  ELEMENT_TYPE.bfloat16,
];

/** A function of each number on its own. */
function each(derivative: (step: BackwardStep, x: Value, y: Value) => Value): Rule {
  return {
    shapes: (node, { shape }) => [shape(inputOf(node, 0))],
    backward: (step) => [derivative(step, inputOf(step.node, 0), step.node.outputs[0] ?? "")],
  };
}

const softmax: Rule = {
  shapes: (node, { shape }) => [shape(inputOf(node, 0))],
  backward({ node, graph, known, gradient }) {
    const y = node.outputs[0] ?? "";
    const axis = axisOf(intOf(node, "axis", -1), known.shape(y).length);
    const weighted = graph.op("Mul", [gradient, y]);
    const sum = graph.op("ReduceSum", [weighted, graph.integers([axis])]);
    return [graph.op("Sub", [weighted, graph.op("Mul", [y, sum])])];
  },
};

/** x·σ(αx), whose derivative is σ + αy(1 − σ). */
const quickGelu: Rule = each(({ node, graph, gradient }, x, y) => {
  const alpha = floatOf(node, "alpha", 1.702);
  const scaled = (value: Value) =>
    alpha === 1 ? value : graph.op("Mul", [value, scalar(graph, alpha)]);
  const sigmoid = graph.op("Sigmoid", [scaled(x)]);
  const rest = graph.op("Sub", [scalar(graph, 1), sigmoid]);
  const slope = graph.op("Add", [sigmoid, graph.op("Mul", [scaled(y), rest])]);
  return graph.op("Mul", [gradient, slope]);
});

// 2√(2/π) and the share of the cube: twice what the tangent is taken of.
const GELU_SLOPE = 2 * Math.sqrt(2 / Math.PI);
const GELU_CUBE = 0.044715;

/** GELU's tanh form, x·σ(2u) with u = √(2/π)·(x + 0.044715·x³): σ + 2u′·y(1 − σ). */
const fastGelu: Rule = each(({ node, graph, gradient }, x, y) => {
  if (node.inputs[1]) throw new TypeError("Cannot differentiate FastGelu with a bias");
  const square = graph.op("Mul", [x, x]);
  const polynomial = (cube: number) =>
    graph.op("Add", [
      graph.op("Mul", [square, scalar(graph, GELU_SLOPE * cube)]),
      scalar(graph, GELU_SLOPE),
    ]);
  const sigmoid = graph.op("Sigmoid", [graph.op("Mul", [x, polynomial(GELU_CUBE)])]);
  const rest = graph.op("Mul", [y, graph.op("Sub", [scalar(graph, 1), sigmoid])]);
  const slope = graph.op("Add", [sigmoid, graph.op("Mul", [polynomial(3 * GELU_CUBE), rest])]);
  return graph.op("Mul", [gradient, slope]);
});

function castBack({ node, graph, gradient }: BackwardStep, x: Value): Value {
  const to = intOf(node, "to", 0);
  if (!FLOATS.includes(to)) {
    throw new TypeError(`Cannot differentiate Cast to type ${to}: only floats have derivatives`);
  }
  return graph.op("CastLike", [gradient, x]);
}

/** Functions of each number, and softmax. */
export const ACTIVATIONS: Rules = {
  Identity: each(({ gradient }) => gradient),
  Cast: each(castBack),
  Neg: each(({ graph, gradient }) => graph.op("Neg", [gradient])),
  Exp: each(({ graph, gradient }, _, y) => graph.op("Mul", [gradient, y])),
  Log: each(({ graph, gradient }, x) => graph.op("Div", [gradient, x])),
  Sqrt: each(({ graph, gradient }, _, y) =>
    graph.op("Div", [graph.op("Mul", [gradient, scalar(graph, 0.5)]), y])
  ),
  FastGelu: fastGelu,
  QuickGelu: quickGelu,
  Softmax: softmax,
};
