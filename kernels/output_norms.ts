import type { HeadShape } from "./attention_nodes.ts";
import { createGraph, type Graph, MICROSOFT } from "./onnx/graph.ts";
import { createKernel, floats, floatsOf } from "./session.ts";

/** How far the values of cached tokens can move a layer's output. */
export interface OutputNormsKernel extends AsyncDisposable {
  /**
   * @param values `[tokens, kvHeads, headDim]`, of all KV heads or of some.
   * @param output {@linkcode outputByHead} of the same heads.
   * @returns Sum of the absolute values of what a token's value becomes in the output, the mean over
   * the query heads of each group, `[kvHeads, tokens]`.
   */
  run(values: Float32Array, output: Float32Array): Promise<Float32Array>;
}

/** Numbers that are laid out at a time: they stay in the processor's cache. */
const MOST_NUMBERS = 1 << 20;

/** Loads the kernel. */
export async function createOutputNormsKernel(
  { heads, kvHeads, headDim }: HeadShape,
  hidden: number,
  threads: number,
): Promise<OutputNormsKernel> {
  const width = heads / kvHeads * hidden;
  const kernel = await createKernel(buildOutputNorms(headDim, width, kvHeads / heads), { threads });
  return {
    async run(values, output) {
      const count = output.length / (width * headDim);
      const tokens = values.length / (count * headDim);
      const weights = floats(output, [count, width, headDim]);
      const norms = new Float32Array(count * tokens);
      const batch = Math.max(1, Math.floor(MOST_NUMBERS / (count * width)));
      for (let from = 0; from < tokens; from += batch) {
        const to = Math.min(tokens, from + batch);
        const rows = values.subarray(from * count * headDim, to * count * headDim);
        const found = await kernel.run({
          values: floats(rows, [to - from, count, headDim]),
          output: weights,
        });
        const sums = floatsOf(found.norms);
        for (let head = 0; head < count; head++) {
          const ofHead = sums.subarray(head * (to - from), (head + 1) * (to - from));
          norms.set(ofHead, head * tokens + from);
        }
      }
      return norms;
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

function buildOutputNorms(headDim: number, width: number, share: number): Graph {
  const graph = createGraph("output_norms");
  graph.input("values", "float32", ["N", "G", headDim]);
  graph.input("output", "float32", ["G", width, headDim]);
  const values = graph.op("Transpose", ["values"], { attributes: { perm: { ints: [1, 0, 2] } } });
  const moved = graph.op("FusedMatMul", [values, "output"], {
    domain: MICROSOFT,
    attributes: { transB: { int: 1 }, alpha: { float: share } },
  });
  graph.output(
    graph.op("ReduceSum", [graph.op("Abs", [moved]), graph.integers([2])], {
      attributes: { keepdims: { int: 0 } },
      names: ["norms"],
    }),
    "float32",
    ["G", "N"],
  );
  return graph.build();
}

/**
 * The matrix behind the attention, `[hidden, heads · headDim]`, head by head:
 * `[kvHeads, heads of a group · hidden, headDim]`.
 */
export function outputByHead(
  output: Float32Array,
  { heads, headDim }: HeadShape,
): Float32Array {
  const hidden = output.length / (heads * headDim);
  const byHead = new Float32Array(output.length);
  for (let row = 0; row < hidden; row++) {
    for (let head = 0; head < heads; head++) {
      const from = (row * heads + head) * headDim;
      byHead.set(output.subarray(from, from + headDim), (head * hidden + row) * headDim);
    }
  }
  return byHead;
}
