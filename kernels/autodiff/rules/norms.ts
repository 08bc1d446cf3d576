import { type GraphBuilder, MICROSOFT, type Value } from "../../onnx/graph.ts";
import { axisOf, floatOf, inputOf, intOf, scalar } from "../forward.ts";
import type { BackwardStep, Rule, Rules } from "../rule.ts";

/** Gradient of the rows that were normalised, from that of the normalised rows. */
function backThroughNorm(step: BackwardStep, x: Value, scale: Value, gradient: Value): Value {
  const { node, graph, known } = step;
  const shape = known.shape(x);
  const width = shape.at(-1);
  if (
    typeof width !== "number" || axisOf(intOf(node, "axis", -1), shape.length) < shape.length - 1
  ) {
    throw new TypeError(`Cannot differentiate ${node.operator}: only norms over the last axis`);
  }
  const last = graph.integers([shape.length - 1]);
  const root = rootMeanSquare(graph, x, last, width, floatOf(node, "epsilon", 1e-5));
  // With u = x / root: (g − u·mean(g·u)) / root.
  const unit = graph.op("Div", [x, root]);
  const scaled = graph.op("Mul", [gradient, scale]);
  const along = graph.op("ReduceMean", [graph.op("Mul", [scaled, unit]), last]);
  return graph.op("Div", [graph.op("Sub", [scaled, graph.op("Mul", [unit, along])]), root]);
}

function rootMeanSquare(
  graph: GraphBuilder,
  x: Value,
  last: Value,
  width: number,
  epsilon: number,
): Value {
  const mean = graph.op("Mul", [
    graph.op("ReduceSumSquare", [x, last]),
    scalar(graph, 1 / width),
  ]);
  return graph.op("Sqrt", [graph.op("Add", [mean, scalar(graph, epsilon)])]);
}

function refuseScale(step: BackwardStep, input: number): void {
  if (!step.wants(input)) return;
  throw new TypeError(`Cannot differentiate ${step.node.operator} by its scale: it must be frozen`);
}

const rmsNorm: Rule = {
  shapes: (node, { shape }) => [shape(inputOf(node, 0))],
  backward(step) {
    refuseScale(step, 1);
    const { node, gradient } = step;
    return [backThroughNorm(step, inputOf(node, 0), inputOf(node, 1), gradient)];
  },
};

/** Adds two streams, gives the sum as its fourth output, and normalises it. */
const skipRmsNorm: Rule = {
  shapes(node, { shape }) {
    const stream = shape(inputOf(node, 0));
    return [stream, [], [], stream];
  },
  backward(step) {
    const { node, graph, gradients: [normalised, , , summed] } = step;
    refuseScale(step, 2);
    const sum = node.outputs[3];
    if (node.inputs[3] || !sum) {
      throw new TypeError(`Cannot differentiate ${node.operator} with a bias or without its sum`);
    }
    if (normalised === undefined) return [summed, summed];
    // The sum has the shape of the first input.
    const through = backThroughNorm(step, sum, inputOf(node, 2), normalised);
    const total = summed === undefined ? through : graph.op("Add", [through, summed]);
    return [total, total];
  },
};

/** Rotation of pairs of numbers: its inverse rotates by the negative angle. */
const rotary: Rule = {
  shapes: (node, { shape }) => [shape(inputOf(node, 0))],
  backward({ node, graph, gradient }) {
    const [positions, cos, sin] = [inputOf(node, 1), inputOf(node, 2), inputOf(node, 3)];
    return [
      graph.op("RotaryEmbedding", [gradient, positions, cos, graph.op("Neg", [sin])], {
        domain: MICROSOFT,
        attributes: node.attributes,
      }),
    ];
  },
};

/** onnxruntime's norms and its rotary embedding. */
export const NORMS: Rules = {
  SimplifiedLayerNormalization: rmsNorm,
  SkipSimplifiedLayerNormalization: skipRmsNorm,
  RotaryEmbedding: rotary,
};
