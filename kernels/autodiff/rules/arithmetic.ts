import type { Value } from "../../onnx/graph.ts";
import { inputOf } from "../forward.ts";
import type { BackwardStep, Rule, Rules, Shape } from "../rule.ts";

/** Shape of two values that are combined number by number. */
function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    return x === 1 || typeof y === "number" && y !== 1 ? y : x;
  });
}

/** The gradient of an input that was repeated along axes: summed over them. */
export function unbroadcast(
  { graph, known }: BackwardStep,
  gradient: Value,
  made: Shape,
  input: Value,
): Value {
  const shape = known.shape(input);
  const missing = made.length - shape.length;
  const repeated = shape.flatMap((size, axis) =>
    size === 1 && made[axis + missing] !== 1 ? [axis + missing] : []
  );
  const axes = [...Array.from({ length: missing }, (_, axis) => axis), ...repeated];
  if (axes.length === 0) return gradient;
  const sum = graph.op("ReduceSum", [gradient, graph.integers(axes)], {
    attributes: { keepdims: { int: repeated.length === 0 ? 0 : 1 } },
  });
  if (missing === 0 || repeated.length === 0) return sum;
  return graph.op("Squeeze", [
    sum,
    graph.integers(Array.from({ length: missing }, (_, axis) => axis)),
  ]);
}

type Derivative = (step: BackwardStep, a: Value, b: Value) => Value;

function binary(byFirst: Derivative, bySecond: Derivative): Rule {
  return {
    shapes: (node, { shape }) => [broadcast(shape(inputOf(node, 0)), shape(inputOf(node, 1)))],
    backward(step) {
      const [a, b] = [inputOf(step.node, 0), inputOf(step.node, 1)];
      const one = (input: number, derivative: Derivative) => {
        if (!step.wants(input)) return undefined;
        const made = broadcast(step.known.shape(a), step.known.shape(b));
        return unbroadcast(step, derivative(step, a, b), made, input === 0 ? a : b);
      };
      return [one(0, byFirst), one(1, bySecond)];
    },
  };
}

const same: Derivative = ({ gradient }) => gradient;

/** Sums, differences, products and quotients, number by number, with broadcasting. */
export const ARITHMETIC: Rules = {
  Add: binary(same, same),
  Sub: binary(same, ({ graph, gradient }) => graph.op("Neg", [gradient])),
  Mul: binary(
    ({ graph, gradient }, _, b) => graph.op("Mul", [gradient, b]),
    ({ graph, gradient }, a) => graph.op("Mul", [gradient, a]),
  ),
  Div: binary(
    ({ graph, gradient }, _, b) => graph.op("Div", [gradient, b]),
    ({ graph, gradient, node }, _, b) =>
      graph.op("Neg", [
        // The quotient is there already.
        graph.op("Div", [graph.op("Mul", [gradient, node.outputs[0] ?? ""]), b]),
      ]),
  ),
};
