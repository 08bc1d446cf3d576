import type { HeadShape } from "../attention_nodes.ts";
import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph } from "../onnx/graph.ts";
import { floats, int32s } from "../session.ts";
import type { CacheElement } from "./layer_buffers.ts";
import type { Device } from "./device.ts";
import { groupQueryAttention } from "./step_attention.ts";

/** Which steps a device's own attention operator computes rightly. */
export interface EvenSupport {
  /** Steps of fewer tokens than {@linkcode FEW}. */
  readonly few: boolean;
  /** Steps of more. */
  readonly many: boolean;
  /** Whether it takes lengths from `total` alone, so that `last_index` need not be sent. */
  readonly ignoresLastIndex: boolean;
}

/** Tokens from which onnxruntime takes another algorithm. */
export const FEW = 32;

/** Tokens of the steps that are tried, one behind another. */
const STEPS = [FEW + 8, 1, FEW + 1, 5] as const;
const TOLERANCE = { float32: 1e-3, float16: 2e-2 } as const;

/**
 * Tries the attention operator of a device on numbers that are known: drivers differ, and the software
 * adapter of tests computes steps of many tokens wrongly. An operator that cannot run supports nothing.
 */
export async function checkEvenAttention(
  device: Device,
  shape: HeadShape,
  element: CacheElement,
): Promise<EvenSupport> {
  const blind = await tryOperator(device, shape, element, () => 0);
  if (blind.few) return { ...blind, ignoresLastIndex: true };
  const seeing = await tryOperator(device, shape, element, (total) => total - 1);
  return { ...seeing, ignoresLastIndex: false };
}

async function tryOperator(
  device: Device,
  shape: HeadShape,
  element: CacheElement,
  lastIndex: (total: number) => number,
): Promise<{ readonly few: boolean; readonly many: boolean }> {
  const support = { few: true, many: true };
  try {
    const { heads, kvHeads, headDim } = shape;
    const capacity = STEPS.reduce((sum, tokens) => sum + tokens, 3);
    await using kernel = await device.load(checkGraph(shape, element), {
      stay: ["present_keys", "present_values"],
      inPlace: true,
    });
    using buffers = new DisposableStack();
    const zeros = async () =>
      buffers.use(await device.zeros([1, kvHeads, capacity, headDim], element));
    const [keys, values] = [await zeros(), await zeros()];
    const past = { keys: [] as number[], values: [] as number[] };
    for (const [seed, tokens] of STEPS.entries()) {
      const queries = waves(tokens * heads * headDim, seed + 1);
      const added = [2, 3].map((row) => waves(tokens * kvHeads * headDim, row + seed / 7));
      past.keys.push(...added[0] ?? []);
      past.values.push(...added[1] ?? []);
      const total = past.keys.length / (kvHeads * headDim);
      const given = (rows: Float32Array | undefined, width: number) =>
        floats(rows ?? new Float32Array(0), [1, tokens, width * headDim]);
      const found = await kernel.run({
        queries: given(queries, heads),
        keys: given(added[0], kvHeads),
        values: given(added[1], kvHeads),
        past_keys: keys,
        past_values: values,
        last_index: int32s([lastIndex(total)]),
        total: int32s([total]),
      }, {
        fetches: ["mixed", "present_keys", "present_values"],
        into: { present_keys: keys, present_values: values },
      });
      const expected = attention(shape, queries, past, total - tokens);
      const mixed = found.floats("mixed");
      const right = expected.every((value, index) =>
        Math.abs(value - (mixed[index] ?? NaN)) <= TOLERANCE[element]
      );
      if (!right) support[tokens < FEW ? "few" : "many"] = false;
    }
    return support;
  } catch {
    return { few: false, many: false };
  }
}

function checkGraph(shape: HeadShape, element: CacheElement): Graph {
  const { heads, kvHeads, headDim } = shape;
  const graph = createGraph("even_check");
  const given = (["queries", "keys", "values"] as const).map((name) => {
    graph.input(name, "float32", [1, "T", (name === "queries" ? heads : kvHeads) * headDim]);
    return cast(graph, name, element);
  });
  const slots = [1, kvHeads, "C", headDim];
  graph.input("past_keys", element, slots);
  graph.input("past_values", element, slots);
  graph.input("last_index", "int32", [1]);
  graph.input("total", "int32", [1]);
  const mixed = groupQueryAttention(
    graph,
    shape,
    [...given, "past_keys", "past_values", "last_index", "total"],
    ["own", "present_keys", "present_values"],
  );
  cast(graph, mixed, "float32", ["mixed"]);
  graph.output("mixed", "float32", [1, "T", heads * headDim]);
  graph.output("present_keys", element, slots);
  graph.output("present_values", element, slots);
  return graph.build();
}

/** Numbers between -1 and 1 that 16-bit floats hold well. */
function waves(count: number, seed: number): Float32Array {
  return Float32Array.from(
    { length: count },
    (_, index) => Math.round(64 * Math.sin(index * 12.9898 * seed + seed)) / 64,
  );
}

/** Causal attention, plainly. */
function attention(
  { heads, kvHeads, headDim }: HeadShape,
  queries: Float32Array,
  { keys, values }: { readonly keys: readonly number[]; readonly values: readonly number[] },
  before: number,
): Float32Array {
  const mixed = new Float32Array(queries.length);
  for (let row = 0; row < queries.length / headDim; row++) {
    const kvHead = Math.floor((row % heads) * kvHeads / heads);
    const seen = before + Math.floor(row / heads) + 1;
    const at = (token: number, column: number) => (token * kvHeads + kvHead) * headDim + column;
    const weights = Array.from({ length: seen }, (_, token) => {
      let product = 0;
      for (let column = 0; column < headDim; column++) {
        product += (queries[row * headDim + column] ?? 0) * (keys[at(token, column)] ?? 0);
      }
      return Math.exp(product / Math.sqrt(headDim));
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [token, weight] of weights.entries()) {
      for (let column = 0; column < headDim; column++) {
        const index = row * headDim + column;
        mixed[index] = (mixed[index] ?? 0) + weight / total * (values[at(token, column)] ?? 0);
      }
    }
  }
  return mixed;
}
