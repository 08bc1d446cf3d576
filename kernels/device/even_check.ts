import type { AttentionShape } from "../attention_nodes.ts";
import type { LayerKind } from "../step_model.ts";
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
  /** Whether steps of one token are right when the operator is captured. */
  readonly captured: boolean;
  /** Whether it takes lengths from `total` alone, so that `last_index` need not be sent. */
  readonly ignoresLastIndex: boolean;
}

/** Tokens from which onnxruntime takes another algorithm. */
export const FEW = 32;

/** Tokens of the steps that are tried, one behind another. */
const STEPS = [FEW + 8, 1, FEW + 1, 5] as const;
const TOLERANCE = { float32: 1e-3, float16: 2e-2 } as const;

/** Windows that are tried, in steps of many tokens and in captured ones: all are computed alike. */
const TRIED_WINDOWS = { steps: 24, captured: 4 } as const;

/** What the operator is tried for. */
export interface TriedShape extends AttentionShape {
  /** Layers of the model: where some slide, the operator is tried with a window too. */
  readonly layerKinds?: readonly LayerKind[];
}

/** Heads that attend, within a window or not. */
interface TriedHeads extends AttentionShape {
  readonly window?: number;
}

/**
 * Tries the attention operator of a device on numbers that are known: drivers differ, and the software
 * adapter of tests computes steps of many tokens wrongly. An operator that cannot run supports nothing.
 */
export async function checkEvenAttention(
  device: Device,
  { layerKinds = [], ...shape }: TriedShape,
  element: CacheElement,
): Promise<EvenSupport> {
  // While a text is shorter than the window, a layer that slides is computed as one that does not.
  const found = [await checkKind(device, shape, element, false)];
  if (layerKinds.some(({ window }) => window !== undefined)) {
    found.push(await checkKind(device, shape, element, true));
  }
  const all = (name: keyof EvenSupport) => found.every((one) => one[name]);
  return {
    few: all("few"),
    many: all("many"),
    captured: all("captured"),
    ignoresLastIndex: all("ignoresLastIndex"),
  };
}

async function checkKind(
  device: Device,
  { heads, kvHeads, headDim, attentionScale }: AttentionShape,
  element: CacheElement,
  slides: boolean,
): Promise<EvenSupport> {
  const whole = { heads, kvHeads, headDim, attentionScale };
  const shape = slides ? { ...whole, window: TRIED_WINDOWS.steps } : whole;
  const recorded = slides ? { ...whole, window: TRIED_WINDOWS.captured } : whole;
  const captured = await tryCaptured(device, recorded, element);
  const blind = await tryOperator(device, shape, element, () => 0);
  if (blind.few) return { ...blind, captured, ignoresLastIndex: true };
  const seeing = await tryOperator(device, shape, element, (total) => total - 1);
  return { ...seeing, captured, ignoresLastIndex: false };
}

async function tryOperator(
  device: Device,
  shape: TriedHeads,
  element: CacheElement,
  lastIndex: (total: number) => number,
): Promise<Pick<EvenSupport, "few" | "many">> {
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
      const right = isClose(found.floats("mixed"), expected, element);
      if (!right) support[tokens < FEW ? "few" : "many"] = false;
    }
    return support;
  } catch {
    return { few: false, many: false };
  }
}

/** Steps of one token that are tried: the first two are recorded, the others replayed. */
const CAPTURED_STEPS = 6;

/** Tries the operator as a captured step has it: lengths are read on the device. */
async function tryCaptured(
  device: Device,
  shape: TriedHeads,
  element: CacheElement,
): Promise<boolean> {
  const { capture } = device;
  if (!capture) return false;
  try {
    const { heads, kvHeads, headDim } = shape;
    await using kernel = await capture.load(checkGraph(shape, element, 1));
    using made = new DisposableStack();
    const tensor = (dims: readonly number[], type: CacheElement | "int32") =>
      made.use(capture.tensor(dims, type));
    const slots = [1, kvHeads, CAPTURED_STEPS + 3, headDim];
    const cache = {
      keys: made.use(await device.zeros(slots, element)),
      values: made.use(await device.zeros(slots, element)),
    };
    const inputs = {
      queries: tensor([1, 1, heads * headDim], "float32"),
      keys: tensor([1, 1, kvHeads * headDim], "float32"),
      values: tensor([1, 1, kvHeads * headDim], "float32"),
      past_keys: cache.keys,
      past_values: cache.values,
      last_index: tensor([1], "int32"),
      total: tensor([1], "int32"),
    };
    const mixed = tensor([1, 1, heads * headDim], "float32");
    const outputs = { mixed, present_keys: cache.keys, present_values: cache.values };
    const past = { keys: [] as number[], values: [] as number[] };
    for (let step = 0; step < CAPTURED_STEPS; step++) {
      const queries = waves(heads * headDim, step + 1);
      const keys = waves(kvHeads * headDim, 2 + step / 7);
      const values = waves(kvHeads * headDim, 3 + step / 7);
      past.keys.push(...keys);
      past.values.push(...values);
      kernel.write("queries", inputs.queries, floats(queries, inputs.queries.dims));
      kernel.write("keys", inputs.keys, floats(keys, inputs.keys.dims));
      kernel.write("values", inputs.values, floats(values, inputs.values.dims));
      kernel.write("last_index", inputs.last_index, int32s([step]));
      kernel.write("total", inputs.total, int32s([step + 1]));
      await kernel.run({ inputs, outputs });
      const expected = attention(shape, queries, past, step);
      if (!isClose(kernel.floats("mixed", mixed), expected, element)) return false;
    }
    return true;
  } catch {
    return false;
  }
}

function isClose(actual: Float32Array, expected: Float32Array, element: CacheElement): boolean {
  return expected.every((value, index) =>
    Math.abs(value - (actual[index] ?? NaN)) <= TOLERANCE[element]
  );
}

function checkGraph(shape: TriedHeads, element: CacheElement, tokens: number | "T" = "T"): Graph {
  const { heads, kvHeads, headDim } = shape;
  const graph = createGraph("even_check");
  const given = (["queries", "keys", "values"] as const).map((name) => {
    graph.input(name, "float32", [1, tokens, (name === "queries" ? heads : kvHeads) * headDim]);
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
  graph.output("mixed", "float32", [1, tokens, heads * headDim]);
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
  { heads, kvHeads, headDim, attentionScale, window = Infinity }: TriedHeads,
  queries: Float32Array,
  { keys, values }: { readonly keys: readonly number[]; readonly values: readonly number[] },
  before: number,
): Float32Array {
  const mixed = new Float32Array(queries.length);
  for (let row = 0; row < queries.length / headDim; row++) {
    const kvHead = Math.floor((row % heads) * kvHeads / heads);
    const seen = before + Math.floor(row / heads) + 1;
    const at = (token: number, column: number) => (token * kvHeads + kvHead) * headDim + column;
    const first = Math.max(0, seen - window);
    const weights = Array.from({ length: seen - first }, (_, behind) => {
      const token = first + behind;
      let product = 0;
      for (let column = 0; column < headDim; column++) {
        product += (queries[row * headDim + column] ?? 0) * (keys[at(token, column)] ?? 0);
      }
      return Math.exp(product * attentionScale);
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [behind, weight] of weights.entries()) {
      const token = first + behind;
      for (let column = 0; column < headDim; column++) {
        const index = row * headDim + column;
        mixed[index] = (mixed[index] ?? 0) + weight / total * (values[at(token, column)] ?? 0);
      }
    }
  }
  return mixed;
}
