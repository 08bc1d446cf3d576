import type { DeviceTensor } from "../../../kernels/device/device.ts";
import type { LayerShape, LayerView } from "../../../policies/policy.ts";
import type { DeviceKvCache } from "../../cache/kv_cache.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import { scorable } from "../../evict/layer_scorer.ts";
import type { Gathered } from "../engine.ts";
import {
  attentionOf,
  checkTokens,
  draftAttentionOf,
  expectationOf,
  globalPlace,
  groupMean,
} from "../view_parts.ts";
import { rowsOfHead } from "../packed_rows.ts";
import type { Rows } from "../rows.ts";
import { tensorOf } from "./device_rows.ts";
import { deviceScorer } from "./device_scorer.ts";
import type { ScoreKernels } from "./score_kernels.ts";

/** What computes on behalf of policies on a device. */
export interface ViewKernels {
  /** Runs score kernels. */
  readonly scores: ScoreKernels;
  /** Cosines of some tokens of a KV head with its first `length` slots, `[tokens, length]`. */
  similarity(
    keys: DeviceTensor,
    of: { readonly head: number; readonly length: number; readonly tokens: Int32Array },
  ): Promise<Float32Array>;
  /** How far the values of a layer can move its output, `[kvHeads, capacity]`. */
  outputNorms(values: DeviceTensor, layer: number): Promise<DeviceTensor>;
  /** Rows or norms, `[rows, capacity]`, in main memory. */
  read(rows: DeviceTensor): Promise<Float32Array>;
}

/** How layers are shown. */
export interface DeviceViewContext {
  readonly config: ModelConfig;
  readonly kernels: ViewKernels;
  /** Gets the number of bytes that were copied to main memory for a policy. */
  readonly onCopy?: (bytes: number) => void;
}

/**
 * Shows a layer on a device to a policy: where the KV heads hold different numbers of tokens, each as
 * a layer of its own. Arrays are copied when a policy asks for them, each once.
 */
export function deviceViews(
  cache: DeviceKvCache,
  layer: number,
  gathered: Gathered,
  context: DeviceViewContext,
): readonly LayerView[] {
  const lengths = cache.lengths(layer);
  const alike = lengths.every((length) => length === lengths[0]);
  const { kvHeads } = cache;
  return alike
    ? [deviceView(cache, layer, gathered, context, { first: 0, count: kvHeads })]
    : lengths.map((_, first) => deviceView(cache, layer, gathered, context, { first, count: 1 }));
}

interface ShownHeads {
  readonly first: number;
  readonly count: number;
}

function deviceView(
  cache: DeviceKvCache,
  layer: number,
  { attention, draft, expected }: Gathered,
  { config, kernels, onCopy }: DeviceViewContext,
  { first, count }: ShownHeads,
): LayerView {
  const { heads: all, kvHeads } = config;
  const place = globalPlace(config, layer);
  const { headDim } = cache;
  const group = all / kvHeads;
  const lengths = cache.lengths(layer);
  const length = lengths[first] ?? 0;
  const heads = group * count;
  const from = lengths.slice(0, first).reduce((sum, one) => sum + one, 0);
  const positions = cache.positions(layer).slice(from, from + count * length);
  const copied = <A extends Float32Array>(array: A): A => {
    onCopy?.(array.byteLength);
    return array;
  };
  /** `[length, kvHeads, headDim]` of what is shown. */
  const tokenMajor = async (which: "keys" | "values"): Promise<Float32Array> => {
    const slots = await cache.copied(layer, which);
    const capacity = slots.length / (kvHeads * headDim);
    const rows = new Float32Array(count * length * headDim);
    for (let head = 0; head < count; head++) {
      for (let token = 0; token < length; token++) {
        const at = ((first + head) * capacity + token) * headDim;
        rows.set(slots.subarray(at, at + headDim), (token * count + head) * headDim);
      }
    }
    return copied(rows);
  };
  const keys = once(() => tokenMajor("keys"));
  const values = once(() => tokenMajor("values"));
  const rowsOf = async (rows: Rows): Promise<Float32Array> => {
    const floats = await rows.floats();
    const shown = count === kvHeads ? floats : rowsOfHead(floats, group, lengths, first);
    return copied(shown.slice());
  };
  const paid = once(() => rowsOf(attentionOf(attention, place.layer)));
  const moments = once(async () => {
    const { mean, variance } = expectationOf(expected, place.layer);
    return { mean: await rowsOf(mean), variance: await rowsOf(variance) };
  });
  const shown = { heads, kvHeads: count, firstHead: first };
  const known: LayerShape = { ...place, ...shown, headDim, length, positions };
  const view: LayerView = {
    ...known,
    keys: async () => (await keys()).slice(),
    values: async () => (await values()).slice(),
    attention: async () => (await paid()).slice(),
    groupAttention: async () => groupMean(await paid(), heads, count, length),
    draftAttention: () => rowsOf(draftAttentionOf(draft, place.layer)),
    async expectedLogits() {
      const { mean, variance } = await moments();
      return { mean: mean.slice(), variance: variance.slice() };
    },
    async outputNorms() {
      using tensor = await kernels.outputNorms(cache.buffers(layer).values, layer);
      const numbers = await kernels.read(tensor);
      const capacity = numbers.length / kvHeads;
      const shown = new Float32Array(count * length);
      for (let head = 0; head < count; head++) {
        const start = (first + head) * capacity;
        shown.set(numbers.subarray(start, start + length), head * length);
      }
      return copied(shown);
    },
    async similarity(kvHead, tokens) {
      checkTokens(kvHead, count, "KV head");
      for (const token of tokens) checkTokens(token, length, "token");
      const of = { head: first + kvHead, length, tokens: Int32Array.from(tokens) };
      return copied(await kernels.similarity(cache.buffers(layer).keys, of));
    },
  };
  const scorer = deviceScorer(kernels.scores, known, {
    firstHead: first,
    keys: () => cache.buffers(layer).keys,
    values: () => cache.buffers(layer).values,
    attention: () => tensorOf(attentionOf(attention, place.layer)),
    draft: () => tensorOf(draftAttentionOf(draft, place.layer)),
    mean: () => tensorOf(expectationOf(expected, place.layer).mean),
    variance: () => tensorOf(expectationOf(expected, place.layer).variance),
    norms: () => kernels.outputNorms(cache.buffers(layer).values, layer),
  });
  return scorable(view, scorer);
}

/** Computes something when it is first asked for, and no more. */
function once<T>(compute: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => made ??= compute();
}
