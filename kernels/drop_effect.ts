import type { AttentionShape } from "./attention_nodes.ts";
import { causalMask } from "./most_attention.ts";
import { createGraph, type Graph, type GraphBuilder, MICROSOFT, type Value } from "./onnx/graph.ts";
import { outputProducts } from "./output_lengths.ts";
import { createKernel, floats, floatsOf } from "./session.ts";

/** Queries of one KV head, all that they see, and what counts. */
export interface JudgedEntries {
  /** Rotated queries of the head's group, `[queries, heads of the group · headDim]`. */
  readonly queries: Float32Array;
  /** Rotated keys, `[tokens, headDim]`: the last ones are the queries' own. */
  readonly keys: Float32Array;
  /** Like the keys. */
  readonly values: Float32Array;
  /** Weight of each query, `[queries]`. */
  readonly weights: Float32Array;
  /** The head's part of the output matrix, `[heads of the group · hidden, headDim]`; absent: lengths before it. */
  readonly output?: Float32Array | undefined;
}

/** What heads' outputs lose without a token. */
export interface DropEffectKernel extends AsyncDisposable {
  /** Lengths of what is lost, to a power, weighed and summed over the queries, `[heads of the group, tokens]`. */
  run(judged: JudgedEntries, power: 1 | 2): Promise<Float32Array>;
}

/** Keeps a share of 1 from dividing by nothing: the authors' constant. */
const EPSILON = 1e-6;

/** Loads a kernel for each power when it is first asked for. */
export async function createDropEffectKernel(
  shape: AttentionShape,
  threads: number,
): Promise<DropEffectKernel> {
  const { heads, kvHeads, headDim } = shape;
  const group = heads / kvHeads;
  await using opening = new AsyncDisposableStack();
  const [first, second] = [
    opening.use(await createKernel(buildDropEffect(shape, 1), { threads })),
    opening.use(await createKernel(buildDropEffect(shape, 2), { threads })),
  ];
  const opened = opening.move();
  return {
    async run({ queries, keys, values, weights, output }, power) {
      const count = weights.length;
      const tokens = keys.length / headDim;
      const { effect } = await (power === 1 ? first : second).run({
        queries: floats(queries, [count, group, headDim]),
        keys: floats(keys, [1, tokens, headDim]),
        values: floats(values, [1, tokens, headDim]),
        mask: floats(causalMask(count), [1, count, count]),
        weights: floats(weights, [1, count, 1]),
        output: output
          ? floats(output, [group, output.length / (group * headDim), headDim])
          : floats(identity(headDim), [1, headDim, headDim]),
      });
      return floatsOf(effect);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** A matrix that changes nothing. */
function identity(size: number): Float32Array {
  const matrix = new Float32Array(size * size);
  for (let row = 0; row < size; row++) matrix[row * size + row] = 1;
  return matrix;
}

function buildDropEffect(
  { heads, kvHeads, headDim, attentionScale }: AttentionShape,
  power: 1 | 2,
): Graph {
  const graph = createGraph("drop_effect");
  const group = heads / kvHeads;
  graph.input("queries", "float32", ["Q", group, headDim]);
  graph.input("keys", "float32", [1, "N", headDim]);
  graph.input("values", "float32", [1, "N", headDim]);
  graph.input("mask", "float32", [1, "Q", "Q"]);
  graph.input("weights", "float32", [1, "Q", 1]);
  graph.input("output", "float32", ["A", "B", headDim]);
  const queries = graph.op("Transpose", ["queries"], {
    attributes: { perm: { ints: [1, 0, 2] } },
  });
  const logits = graph.op("FusedMatMul", [queries, "keys"], {
    domain: MICROSOFT,
    attributes: { transB: { int: 1 }, alpha: { float: attentionScale } },
  });
  const size = (value: Value, axis: number) =>
    graph.op("Shape", [value], {
      attributes: { start: { int: axis }, end: { int: axis + 1 } },
    });
  const before = graph.op("Sub", [size("keys", 1), size("queries", 0)]);
  const [seen = "", own = ""] = graph.ops(
    "Split",
    [
      logits,
      graph.op("Concat", [before, size("queries", 0)], { attributes: { axis: { int: 0 } } }),
    ],
    2,
    { attributes: { axis: { int: 2 } } },
  );
  const all = graph.op("Concat", [seen, graph.op("Add", [own, "mask"])], {
    attributes: { axis: { int: 2 } },
  });
  const shares = graph.op("Softmax", [all], { attributes: { axis: { int: 2 } } });
  const products = outputProducts(graph, "output", 3);
  const effect = dropEffect(graph, { shares, values: "values", products, power });
  const sum = graph.op("ReduceSum", [
    graph.op("Mul", [effect, "weights"]),
    graph.integers([1]),
  ], { attributes: { keepdims: { int: 0 } }, names: ["effect"] });
  graph.output(sum, "float32", [group, "N"]);
  return graph.build();
}

/**
 * Lengths of what each query's output loses without each token, to a power, `[heads, queries, tokens]`. Distances
 * are computed by way of `WᵀW`: no tensor is larger than the shares.
 *
 * @param shares `[heads, queries, tokens]`.
 * @param values `[heads or 1, tokens, headDim]`.
 * @param products `WᵀW`, `[heads or 1, headDim, headDim]`; absent where lengths are those before the output matrix.
 */
export function dropEffect(
  graph: GraphBuilder,
  { shares, values, products, power }: {
    readonly shares: Value;
    readonly values: Value;
    readonly products: Value | undefined;
    readonly power: 1 | 2;
  },
): Value {
  const turned = (value: Value) =>
    graph.op("Transpose", [value], { attributes: { perm: { ints: [0, 2, 1] } } });
  const scalar = (value: number) => graph.constant(Float32Array.of(value), []);
  const squares = (rows: Value, moved: Value) =>
    graph.op("ReduceSum", [graph.op("Mul", [rows, moved]), graph.integers([2])], {
      attributes: { keepdims: { int: 1 } },
    });
  const behind = (rows: Value) => products ? graph.op("MatMul", [rows, products]) : rows;
  const mixed = graph.op("MatMul", [shares, values]);
  const moved = behind(values);
  const ofValues = turned(squares(values, moved));
  const ofMixed = squares(mixed, behind(mixed));
  const across = graph.op("MatMul", [mixed, turned(moved)]);
  const distances = graph.op("Relu", [
    graph.op("Sub", [
      graph.op("Add", [ofValues, ofMixed]),
      graph.op("Mul", [across, scalar(2)]),
    ]),
  ]);
  const odds = graph.op("Div", [
    shares,
    graph.op("Sub", [scalar(1 + EPSILON), shares]),
  ]);
  return power === 2
    ? graph.op("Mul", [graph.op("Mul", [odds, odds]), distances])
    : graph.op("Mul", [odds, graph.op("Sqrt", [distances])]);
}
