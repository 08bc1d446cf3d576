import type { HeadShape } from "./attention_nodes.ts";
import { createGraph, type Graph, type GraphBuilder, type Value } from "./onnx/graph.ts";
import { createKernel, floats, floatsOf } from "./session.ts";

/** How long what the values of cached tokens become in a layer's output is. */
export interface OutputLengthsKernel extends AsyncDisposable {
  /**
   * @param values `[tokens, headDim]` of one KV head.
   * @param output Its part of `outputByHead`, `[heads of a group · hidden, headDim]`.
   * @returns Lengths of `W_O · V` for each query head, `[heads of a group, tokens]`.
   */
  run(values: Float32Array, output: Float32Array): Promise<Float32Array>;
}

/** Loads the kernel. */
export async function createOutputLengthsKernel(
  { heads, kvHeads, headDim }: HeadShape,
  hidden: number,
  threads: number,
): Promise<OutputLengthsKernel> {
  const group = heads / kvHeads;
  const kernel = await createKernel(buildOutputLengths(group, hidden, headDim), { threads });
  return {
    async run(values, output) {
      const { lengths } = await kernel.run({
        values: floats(values, [1, values.length / headDim, headDim]),
        output: floats(output, [group, hidden, headDim]),
      });
      return floatsOf(lengths);
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

function buildOutputLengths(group: number, hidden: number, headDim: number): Graph {
  const graph = createGraph("output_lengths");
  graph.input("values", "float32", [1, "N", headDim]);
  graph.input("output", "float32", [group, hidden, headDim]);
  const lengths = outputLengths(graph, "values", outputProducts(graph, "output", 3));
  graph.output(graph.op("Identity", [lengths], { names: ["lengths"] }), "float32", [group, "N"]);
  return graph.build();
}

/**
 * `WᵀW` of matrices `W`.
 *
 * @param output `[…, hidden, headDim]`.
 * @param rank How many sizes it has.
 * @returns `[…, headDim, headDim]`.
 */
export function outputProducts(graph: GraphBuilder, output: Value, rank: number): Value {
  const others = Array.from({ length: rank - 2 }, (_, axis) => axis);
  const turned = graph.op("Transpose", [output], {
    attributes: { perm: { ints: [...others, rank - 1, rank - 2] } },
  });
  return graph.op("MatMul", [turned, output]);
}

/**
 * Lengths of `W · v`, by way of `vᵀ(WᵀW)v`: as many numbers as `v` has, not as the output has, are laid
 * out.
 *
 * @param values `[heads or 1, tokens, headDim]`.
 * @param products {@linkcode outputProducts}, `[heads, headDim, headDim]`.
 * @returns `[heads, tokens]`.
 */
export function outputLengths(graph: GraphBuilder, values: Value, products: Value): Value {
  const squares = graph.op("ReduceSum", [
    graph.op("Mul", [graph.op("MatMul", [values, products]), values]),
    graph.integers([2]),
  ], { attributes: { keepdims: { int: 0 } } });
  return graph.op("Sqrt", [graph.op("Relu", [squares])]);
}
