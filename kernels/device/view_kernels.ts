import type { HeadShape } from "../attention_nodes.ts";
import { exactInput } from "../onnx/cast.ts";
import { createGraph, type Graph, type Value } from "../onnx/graph.ts";
import { integers } from "../session.ts";
import type { CacheElement } from "./layer_buffers.ts";
import type { Device, DeviceTensor } from "./device.ts";
import { turnedOver } from "./masked_attention.ts";
import { buildsOf, loadedOnDemand } from "./on_demand.ts";

/** Which keys are compared. */
export interface ComparedKeys {
  /** KV head. */
  readonly head: number;
  /** Slots that it holds. */
  readonly length: number;
  /** Slots of the tokens that are compared with all. */
  readonly tokens: Int32Array;
}

/** What is computed of keys and values on behalf of policies. */
export interface LayerArithmeticKernels extends AsyncDisposable {
  /** Cosines between some keys of a KV head and all of its keys, `[tokens, length]`. */
  similarity(keys: DeviceTensor, of: ComparedKeys): Promise<Float32Array>;
  /**
   * How far values can move a layer's output, `[kvHeads, capacity]`. The caller owns it.
   *
   * @param output The layer's output matrix, `[kvHeads, heads of a group · hidden, headDim]`, of the cache's numbers.
   */
  outputNorms(values: DeviceTensor, output: DeviceTensor): Promise<DeviceTensor>;
}

/** Numbers of the largest tensor that output norms lay out: 64 MiB. */
const MOST_NUMBERS = 1 << 24;

/** Loads kernels when they are first asked for. */
export function createLayerArithmetic(
  device: Device,
  shape: HeadShape,
  element: CacheElement,
): LayerArithmeticKernels {
  const kernels = loadedOnDemand(device);
  const { heads, kvHeads, headDim } = shape;
  const similarity = () => similarityGraph(headDim, element);
  const norms = buildsOf((size: { readonly parts: number; readonly width: number }) =>
    normsGraph({ ...size, share: kvHeads / heads, headDim }, element)
  );
  return {
    async similarity(keys, { head, length, tokens }) {
      const found = await kernels.run(similarity, {
        keys,
        start: integers([head, 0]),
        end: integers([head + 1, length]),
        tokens: integers(tokens),
      });
      return found.floats("cosines");
    },
    async outputNorms(values, output) {
      const [, width = 1] = output.dims;
      const [, capacity = 1] = values.dims;
      // Powers of two: few graphs serve all lengths.
      const fewest = Math.max(1, kvHeads * capacity * width / MOST_NUMBERS);
      const parts = Math.min(width, 2 ** Math.ceil(Math.log2(fewest)));
      const found = await kernels.run(norms({ parts, width }), { values, output }, ["norms"]);
      return found.kept("norms");
    },
    [Symbol.asyncDispose]: () => kernels[Symbol.asyncDispose](),
  };
}

function similarityGraph(headDim: number, element: CacheElement): Graph {
  const graph = createGraph("key_similarity");
  const keys = exactInput(graph, "keys", element, ["H", "C", headDim]);
  graph.input("start", "int64", [2]);
  graph.input("end", "int64", [2]);
  graph.input("tokens", "int64", ["S"]);
  const ofHead = graph.op("Squeeze", [
    graph.op("Slice", [keys, "start", "end", graph.integers([0, 1])]),
    graph.integers([0]),
  ]);
  const length = graph.op("ReduceL2", [ofHead, graph.integers([1])], {
    attributes: { keepdims: { int: 1 } },
  });
  const unit = graph.op("Div", [
    ofHead,
    graph.op("Max", [length, graph.constant(Float32Array.of(1e-20), [1])]),
  ]);
  graph.op("MatMul", [
    graph.op("Gather", [unit, "tokens"]),
    graph.op("Transpose", [unit], { attributes: { perm: { ints: [1, 0] } } }),
  ], { names: ["cosines"] });
  graph.output("cosines", "float32", ["S", "N"]);
  return graph.build();
}

/** Sums over parts of the output's width, so that no tensor grows with all of it. */
function normsGraph(
  { parts, width, share, headDim }: {
    readonly parts: number;
    readonly width: number;
    readonly share: number;
    readonly headDim: number;
  },
  element: CacheElement,
): Graph {
  const graph = createGraph("output_norms");
  const values = exactInput(graph, "values", element, ["H", "C", headDim]);
  const output = exactInput(graph, "output", element, ["H", width, headDim]);
  let sums: Value | undefined;
  for (let part = 0; part < parts; part++) {
    const [from, to] = [part, part + 1].map((at) => Math.floor(width * at / parts));
    const rows = graph.op("Slice", [
      output,
      graph.integers([from ?? 0]),
      graph.integers([to ?? width]),
      graph.integers([1]),
    ]);
    const moved = graph.op("MatMul", [values, turnedOver(graph, rows)]);
    const sum = graph.op("ReduceSum", [graph.op("Abs", [moved]), graph.integers([2])], {
      attributes: { keepdims: { int: 0 } },
    });
    sums = sums === undefined ? sum : graph.op("Add", [sums, sum]);
  }
  graph.op("Mul", [sums ?? "", graph.constant(Float32Array.of(share), [])], { names: ["norms"] });
  graph.output("norms", "float32", ["H", "C"]);
  return graph.build();
}
