import type { HeadShape } from "./attention_nodes.ts";
import { createGraph, type Graph, MICROSOFT, type Value } from "./onnx/graph.ts";
import { createKernel, floats, floatsOf, integers } from "./session.ts";

/** Cosines between the keys of some tokens and those of all. */
export interface KeySimilarityKernel extends AsyncDisposable {
  /**
   * @param keys `[length, kvHeads · headDim]`.
   * @param head KV head.
   * @param tokens Indices of tokens.
   * @param count KV heads that the keys are of. @default {all of the model}
   * @returns `[tokens, length]`; 0 for a key without length.
   */
  run(
    keys: Float32Array,
    head: number,
    tokens: Int32Array,
    count?: number,
  ): Promise<Float32Array>;
}

/** Loads the kernel. */
export async function createKeySimilarityKernel(
  { kvHeads, headDim }: HeadShape,
  threads: number,
): Promise<KeySimilarityKernel> {
  const kernel = await createKernel(buildKeySimilarity(headDim), { threads });
  return {
    async run(keys, head, tokens, count = kvHeads) {
      const { cosines } = await kernel.run({
        keys: floats(keys, [keys.length / (count * headDim), count, headDim]),
        head: integers([head]),
        tokens: integers(tokens),
      });
      return floatsOf(cosines);
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

function buildKeySimilarity(headDim: number): Graph {
  const graph = createGraph("key_similarity");
  graph.input("keys", "float32", ["N", "G", headDim]);
  graph.input("head", "int64", [1]);
  graph.input("tokens", "int64", ["S"]);
  const keys = graph.op("Squeeze", [
    graph.op("Gather", ["keys", "head"], { attributes: { axis: { int: 1 } } }),
    graph.integers([1]),
  ]);
  const unit = normalised(graph, keys);
  graph.output(
    graph.op("FusedMatMul", [graph.op("Gather", [unit, "tokens"]), unit], {
      domain: MICROSOFT,
      attributes: { transB: { int: 1 } },
      names: ["cosines"],
    }),
    "float32",
    ["S", "N"],
  );
  return graph.build();
}

function normalised(graph: ReturnType<typeof createGraph>, rows: Value): Value {
  const norms = graph.op("ReduceL2", [rows, graph.integers([1])], {
    attributes: { keepdims: { int: 1 } },
  });
  const least = graph.constant(Float32Array.of(1e-20), [1]);
  return graph.op("Div", [rows, graph.op("Max", [norms, least])]);
}
