import { createGraph, type Graph } from "./onnx/graph.ts";
import { createKernel, floats, floatsOf } from "./session.ts";

/** `W · x + b`, row-major. */
export interface Dense {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** What is multiplied: a linear layer, or two with GELU between. */
export interface Network {
  readonly inner?: Dense;
  readonly output: Dense;
}

/** Runs small networks on rows. */
export interface SurrogateKernel extends AsyncDisposable {
  /**
   * @param rows `[tokens, hidden]`.
   * @returns `[out, tokens]`.
   */
  run(rows: Float32Array, network: Network): Promise<Float32Array>;
}

/**
 * Loads the kernel.
 *
 * @param deep Whether networks have a layer in between.
 */
export async function createSurrogateKernel(
  hidden: number,
  deep: boolean,
  threads: number,
): Promise<SurrogateKernel> {
  const kernel = await createKernel(buildSurrogate(hidden, deep), { threads });
  const matrix = ({ weight, bias }: Dense) =>
    floats(weight, [bias.length, weight.length / bias.length]);
  return {
    async run(rows, { inner, output }) {
      const { scores } = await kernel.run({
        rows: floats(rows, [rows.length / hidden, hidden]),
        ...(inner
          ? { inner_weight: matrix(inner), inner_bias: floats(inner.bias, [inner.bias.length]) }
          : {}),
        weight: matrix(output),
        bias: floats(output.bias, [output.bias.length, 1]),
      });
      return floatsOf(scores);
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

function buildSurrogate(hidden: number, deep: boolean): Graph {
  const graph = createGraph("surrogate");
  graph.input("rows", "float32", ["T", hidden]);
  const turned = (value: string) =>
    graph.op("Transpose", [value], { attributes: { perm: { ints: [1, 0] } } });
  let columns = turned("rows");
  if (deep) {
    graph.input("inner_weight", "float32", ["U", hidden]);
    graph.input("inner_bias", "float32", ["U"]);
    const product = graph.op("MatMul", ["rows", turned("inner_weight")]);
    columns = turned(graph.op("Gelu", [graph.op("Add", [product, "inner_bias"])]));
  }
  graph.input("weight", "float32", ["O", deep ? "U" : hidden]);
  graph.input("bias", "float32", ["O", 1]);
  const scores = graph.op("Add", [graph.op("MatMul", ["weight", columns]), "bias"]);
  graph.output(graph.op("Identity", [scores], { names: ["scores"] }), "float32", ["O", "T"]);
  return graph.build();
}
