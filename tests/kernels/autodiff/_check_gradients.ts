import { assert } from "@std/assert";
import { differentiate } from "../../../kernels/autodiff/differentiate.ts";
import {
  createGraph,
  type Dimension,
  type GraphBuilder,
  type Value,
} from "../../../kernels/onnx/graph.ts";
import { createKernel, floats, floatsOf } from "../../../kernels/session.ts";
import { assertClose, noise } from "../../_close.ts";

/** A graph whose derivative is checked. */
export interface GradientCase {
  /** Inputs that it is differentiated by, and their sizes. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** The same inputs as they are declared, where sizes are to be open. @default {inputs} */
  readonly declared?: Readonly<Record<string, readonly Dimension[]>>;
  /** Inputs from 0.5 to 1.5 instead of -1 to 1: for divisors, logarithms and roots. */
  readonly positive?: boolean;
  /** Emits the graph; gives the value that is summed with random weights to be the loss. */
  readonly build: (graph: GraphBuilder) => Value;
}

const STEP = 1e-2;
// The differences are off by about STEP², and by the rounding of 32 bits over STEP.
const CLOSE = { absolute: 2e-3, relative: 1e-2 };

/** Asserts that the gradients of a graph equal central finite differences of it. */
export async function assertGradients(
  { inputs, declared = inputs, positive = false, build }: GradientCase,
): Promise<void> {
  const names = Object.keys(inputs);
  const graph = createGraph("test");
  for (const name of names) graph.input(name, "float32", declared[name] ?? []);
  graph.input("weights", "float32", ["W"]);
  graph.ops("Reshape", [build(graph), graph.integers([-1])], 1, { names: ["made"] });
  graph.output("made", "float32", ["M"]);
  const loss = graph.op("ReduceSum", [graph.op("Mul", ["made", "weights"])], {
    attributes: { keepdims: { int: 0 } },
  });
  const gradients = differentiate(graph.build(), { loss, by: names, into: graph });
  for (const name of names) {
    const gradient = gradients.get(name);
    assert(gradient !== undefined, `no gradient of ${name}`);
    graph.ops("Identity", [gradient], 1, { names: [`gradient.${name}`] });
    graph.output(
      `gradient.${name}`,
      "float32",
      (inputs[name] ?? []).map((_, axis) => `${name}${axis}`),
    );
  }
  await using kernel = await createKernel(graph.build());
  const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const data = new Map(names.map((name, index) => {
    const numbers = noise(sizeOf(inputs[name] ?? []), index + 1);
    return [name, positive ? numbers.map((x) => 1 + x / 2) : numbers];
  }));
  const run = async (weights: Float32Array, fetches: readonly string[]) =>
    await kernel.run({
      weights: floats(weights, [weights.length]),
      ...Object.fromEntries(
        names.map((name) => [name, floats(data.get(name) ?? weights, inputs[name] ?? [])]),
      ),
    }, fetches);
  // The first run only tells how many numbers there are; one weight goes with any of them.
  const made = floatsOf((await run(Float32Array.of(1), ["made"])).made);
  const weights = noise(made.length, 99);
  const outputs = await run(weights, names.map((name) => `gradient.${name}`));
  for (const name of names) {
    const numbers = data.get(name) ?? new Float32Array(0);
    const expected = [];
    for (const [index, number] of numbers.entries()) {
      const [low, high] = [Math.fround(number - STEP), Math.fround(number + STEP)];
      const at = async (value: number) => {
        numbers[index] = value;
        return floatsOf((await run(weights, ["made"])).made).slice();
      };
      const [below, above] = [await at(low), await at(high)];
      numbers[index] = number;
      expected.push(
        weights.reduce((sum, w, i) => sum + w * ((above[i] ?? NaN) - (below[i] ?? NaN)), 0) /
          (high - low),
      );
    }
    const gradient = outputs[`gradient.${name}`];
    assert(`${gradient?.dims}` === `${inputs[name]}`, `${name}: gradient of ${gradient?.dims}`);
    assertClose(floatsOf(gradient), expected, CLOSE, `gradient of ${name}`);
  }
}
