import type { AttentionShape } from "../attention_nodes.ts";
import type { LayerKind, LayerWeights } from "../step_model.ts";
import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph } from "../onnx/graph.ts";
import { floats, int32s } from "../session.ts";
import { isCapturedRight } from "./captured_check.ts";
import { attention, isClose, type TriedHeads, waves } from "./known_attention.ts";
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

/** Windows that are tried, in steps of many tokens and in captured ones: all are computed alike. */
const TRIED_WINDOWS = { steps: 24, captured: 4 } as const;

/** What the operator is tried for. */
export interface TriedShape extends AttentionShape {
  /** Layers of the model: where some slide, the operator is tried with a window too. */
  readonly layerKinds?: readonly LayerKind[];
  /** Their weights: where heads are normalised, captured steps are tried so. */
  readonly layers?: readonly Pick<LayerWeights, "queryNorm">[];
}

/**
 * Tries the attention operator of a device on numbers that are known: drivers differ, and the software
 * adapter of tests computes steps of many tokens wrongly. An operator that cannot run supports nothing.
 */
export async function checkEvenAttention(
  device: Device,
  { layerKinds = [], layers = [], ...shape }: TriedShape,
  element: CacheElement,
): Promise<EvenSupport> {
  const normed = layers.some(({ queryNorm }) => queryNorm !== undefined);
  // While a text is shorter than the window, a layer that slides is computed as one that does not.
  const found = [await checkKind(device, shape, element, { normed, slides: false })];
  if (layerKinds.some(({ window }) => window !== undefined)) {
    found.push(await checkKind(device, shape, element, { normed, slides: true }));
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
  { normed, slides }: { readonly normed: boolean; readonly slides: boolean },
): Promise<EvenSupport> {
  const whole = { heads, kvHeads, headDim, attentionScale };
  const shape = slides ? { ...whole, window: TRIED_WINDOWS.steps } : whole;
  const recorded = slides ? { ...whole, window: TRIED_WINDOWS.captured } : whole;
  const captured = await isCapturedRight(device, recorded, element, normed);
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

function checkGraph(shape: TriedHeads, element: CacheElement): Graph {
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
