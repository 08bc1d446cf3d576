import type { AdapterShape } from "../../../kernels/adapters.ts";
import type { CacheKernels } from "../../../kernels/device/cache_kernels.ts";
import type { DeviceTensor } from "../../../kernels/device/device.ts";
import type { DeviceStepKernel } from "../../../kernels/device/step_kernel.ts";
import type { EvidenceKernels } from "../../../kernels/device/evidence_kernels.ts";
import type { MomentKernels, MomentTensors } from "../../../kernels/device/query_moments.ts";
import type { MergeKernels } from "../../../kernels/device/merge_values.ts";
import type { HeldOutputs } from "../../../kernels/device/output_matrices.ts";
import type { SlotRun } from "../../../kernels/device/repeated_attention.ts";
import type { ReplayKernels } from "../../../kernels/device/replay_kernels.ts";
import type { RowKernels } from "../../../kernels/device/row_kernels.ts";
import type { SurrogateKernels } from "../../../kernels/device/surrogates.ts";
import type { SoftAdapters } from "../../../policies/policy.ts";
import { createDeviceCache, type DeviceCacheContext } from "../../cache/device_cache.ts";
import type { DeviceKvCache, KvCache } from "../../cache/kv_cache.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import { DeviceError } from "../../errors.ts";
import { globalLayers } from "../../checkpoint/layer_kinds.ts";
import { rotaryTables } from "../../rotary/rotary_tables.ts";
import { lowestCosine } from "../../evict/merged_values.ts";
import { adapterShape } from "../../soft_tokens/adapters.ts";
import {
  type DeviceNorms,
  type DeviceQueries,
  type Engine,
  queryCount,
  type StepInput,
  type StepQueries,
  type StepResult,
  tokenCount,
} from "../engine.ts";
import type { DeviceInputs } from "../predicted_scores.ts";
import { probeApart } from "../probe_apart.ts";
import type { Sequence } from "../sequence.ts";
import { deviceMoments, type QueryMoments } from "../query_moments.ts";
import { deviceRows, tensorOf, writtenRows } from "./device_rows.ts";
import { deviceViews, type ViewKernels } from "./device_view.ts";
import { predictedThere } from "./predicted_scores.ts";
import { createRunAhead } from "./run_ahead.ts";

/** What an engine on a device is made of. It owns none of it. */
export interface DeviceParts extends DeviceCacheContext {
  readonly config: ModelConfig;
  readonly threads: number;
  /** Largest buffer of the device, in bytes; absent where there is no limit. */
  readonly maxBufferBytes?: number;
  readonly step: DeviceStepKernel;
  /** Gives the step graph with adapters. */
  readonly adapted: (shape: AdapterShape) => Promise<DeviceStepKernel>;
  readonly kernels: CacheKernels;
  readonly rows: RowKernels;
  readonly evidence: EvidenceKernels;
  readonly moments: MomentKernels;
  readonly replay: ReplayKernels;
  readonly outputs: HeldOutputs;
  readonly surrogates: SurrogateKernels;
  readonly merge: MergeKernels;
  readonly views: ViewKernels;
  /** Milliseconds. */
  readonly now: () => number;
}

/** Runs the step graph on sequences that live on a device. */
export function createDeviceEngine(parts: DeviceParts): Engine {
  const { config, threads, maxBufferBytes = Infinity, rows: rowKernels, evidence } = parts;
  const { layers, heads, kvHeads, headDim } = config;
  const group = heads / kvHeads;
  const rowContext = { kernels: rowKernels, group };
  const windows = config.layerKinds.map(({ window }) => window);
  const shape = { layers, kvHeads, headDim, windows };
  const observed = globalLayers(config);

  /** 16-bit floats overflow where activations grow; layers behind them give no numbers. */
  const checkFinite = (logits: Float32Array): void => {
    if (parts.element !== "float16" || logits.every(Number.isFinite)) return;
    throw new DeviceError(
      "Cannot compute with 16-bit floats on this device: the model's activations pass their largest " +
        "number, 65504; set 'device' to cpu, which computes with 32 bits",
      { options: ["device"] },
    );
  };

  const ahead = createRunAhead({
    layers,
    context: config.context,
    now: parts.now,
    most: (all, settings) => parts.step.mostAhead(all, settings),
    run: (inputs) => parts.step.runAhead(inputs),
    rotary: ({ planned }, position) =>
      rotaryTables(config, { sequence: Math.max(planned, position + 1), position, tokens: 1 }),
  });

  const queriesOf = (tensor: DeviceTensor): DeviceQueries => ({
    home: "device",
    tensor,
    floats: () => rowKernels.read(tensor),
    [Symbol.dispose]: () => tensor[Symbol.dispose](),
  });

  const step = async (
    { cache, position, planned }: Sequence,
    input: StepInput,
    { run }: DeviceStepKernel = parts.step,
    adapters?: SoftAdapters["tensors"],
  ): Promise<StepResult> => {
    const tokens = tokenCount(input, config.hidden);
    const held = deviceCacheOf(cache);
    ahead.forget(held);
    await held.makeRoom(tokens);
    const sequence = Math.max(planned, position + tokens);
    const { logits, likeliest, attentionSums, queries, inputNorms, layerInputs } = await run({
      ...input,
      ...(adapters ? { adapters } : {}),
      ids: input.ids ?? [],
      rotary: rotaryTables(config, { sequence, position, tokens }),
      rows: input.rows ?? [tokens - 1],
      layers: Array.from({ length: layers }, (_, layer) => ({
        ...held.buffers(layer),
        lengths: held.stored(layer),
      })),
    });
    try {
      checkFinite(logits);
    } catch (error) {
      for (const tensor of [...attentionSums, ...queries]) tensor[Symbol.dispose]();
      for (const tensor of [inputNorms, layerInputs]) tensor?.[Symbol.dispose]();
      throw error;
    }
    return {
      logits,
      ...(likeliest === undefined ? {} : { likeliest }),
      attentionSums: attentionSums.map((tensor, index) => {
        const seen = held.lengths(observed[index] ?? 0).map((length) => length + tokens);
        return deviceRows(tensor, seen, rowContext);
      }),
      queries: queries.map(queriesOf),
      ...(inputNorms ? { inputNorms: stayingOf(inputNorms) } : {}),
      ...(layerInputs ? { layerInputs: stayingOf(layerInputs) } : {}),
    };
  };

  const adapted = async (sequence: Sequence, input: StepInput, adapters: SoftAdapters) =>
    await step(
      sequence,
      input,
      await parts.adapted(adapterShape(adapters, config)),
      adapters.tensors,
    );

  /** A decoding step, which may have been run ahead. */
  const decoded = async (
    sequence: Sequence,
    { ids = [], next = "logits", ...others }: StepInput,
  ): Promise<StepResult | undefined> => {
    const [id] = ids;
    const { embeddings, rows, observe, queries, inputNorms, layerInputs } = others;
    const plain = ids.length === 1 && !embeddings && !rows && !observe && !queries &&
      !inputNorms && !layerInputs;
    if (!plain || id === undefined) return undefined;
    const cache = deviceCacheOf(sequence.cache);
    if (next !== "logits") {
      const found = await ahead.likeliest(sequence, cache, id);
      if (!found) return undefined;
      const { logits = new Float32Array(0), id: likeliest } = found;
      checkFinite(logits);
      return {
        logits,
        ...(likeliest === undefined ? {} : { likeliest }),
        ...{ attentionSums: [], queries: [] },
      };
    }
    const logits = await ahead.logits(sequence, cache, id);
    if (!logits) return undefined;
    checkFinite(logits);
    return { logits, attentionSums: [], queries: [] };
  };

  const engine: Engine = {
    config,
    threads,
    // Each step waits for the device once and starts hundreds of kernels, whatever it reads.
    chunk: 1024,
    home: "device",
    numberBytes: parts.element === "float16" ? 2 : 4,
    newCache: () => createDeviceCache(parts, shape),
    async adopt(cache) {
      const adopted = createDeviceCache(parts, shape);
      const { lengths: given } = cache.mark();
      try {
        for (let layer = 0; layer < layers; layer++) {
          await adopted.fill(layer, cache.entries(layer, true), given[layer]);
        }
        return adopted;
      } catch (error) {
        adopted[Symbol.dispose]();
        throw error;
      } finally {
        cache[Symbol.dispose]();
      }
    },
    rows: (floats, lengths) => writtenRows(floats, lengths, rowContext),
    async constantRows(number, lengths) {
      const tensor = await rowKernels.filled(number, heads, Math.max(1, ...lengths));
      return deviceRows(tensor, lengths, rowContext);
    },
    // Logits of all heads are one tensor, of 32-bit floats.
    maxStepTokens: (held) => maxRows(maxBufferBytes / (heads * 4), held),
    async advance(sequence, { adapters, ...input }) {
      const outputs = adapters
        ? await adapted(sequence, input, adapters)
        : await decoded(sequence, input) ?? await step(sequence, input);
      const tokens = tokenCount(input, config.hidden);
      deviceCacheOf(sequence.cache).commit(tokens, sequence.position);
      sequence.position += tokens;
      return outputs;
    },
    async draw(sequence, id, drawing) {
      const cache = deviceCacheOf(sequence.cache);
      const found = await ahead.drawn(sequence, cache, id, drawing);
      if (!found) return undefined;
      if (found.logits) checkFinite(found.logits);
      cache.commit(1, sequence.position);
      sequence.position++;
      return found;
    },
    async probe(sequence, { adapters, apart = false, ...input }) {
      if (apart) {
        return await probeApart(engine, sequence, adapters ? { ...input, adapters } : input);
      }
      return adapters ? await adapted(sequence, input, adapters) : await step(sequence, input);
    },
    predicting: (networks) => predictedThere(networks, parts.surrogates, rowContext),
    views: (cache, layer, gathered, onCopy) =>
      deviceViews(deviceCacheOf(cache), layer, gathered, {
        config,
        kernels: parts.views,
        ...(onCopy ? { onCopy } : {}),
      }),
    async addQueries(layers, skip, before) {
      const [first] = layers;
      if (!first) return [];
      const added = queryCount(first.queries, config) - skip;
      const held = before?.[0]?.count ?? 0;
      const tensors = await parts.moments.add(
        layers.map(({ queries, rotary }, layer) => {
          const earlier = before?.[layer];
          return {
            queries: tensorOfQueries(queries),
            rotary,
            before: earlier && tensorsOfMoments(earlier),
          };
        }),
        { skip, added, before: held },
      );
      return tensors.map((one) => deviceMoments(one, held + added, rowKernels.read));
    },
    async expectedLogits(cache, layer, { moments, rotation }) {
      const held = deviceCacheOf(cache);
      const { mean, variance } = await parts.moments.expectedLogits(
        held.buffers(layer).keys,
        moments && tensorsOfMoments(moments),
        moments?.count ?? 0,
        { cos: Float32Array.from(rotation.cos), sin: Float32Array.from(rotation.sin) },
      );
      const rows = (tensor: DeviceTensor) => deviceRows(tensor, held.lengths(layer), rowContext);
      return { mean: rows(mean), variance: rows(variance) };
    },
    async followingAttention(cache, layer, { cache: copy, queries }) {
      const held = deviceCacheOf(cache);
      const drafted = deviceCacheOf(copy);
      const asked = queries.map(tensorOfQueries);
      const tokens = asked.reduce((sum, { dims: [count = 0] }) => sum + count, 0);
      const pairs = drafted.lengths(layer).flatMap((length, head) =>
        Array.from({ length: tokens }, (_, token) => [head, length - tokens + token]).flat()
      );
      const lengths = held.lengths(layer);
      const tensor = await evidence.following(held.buffers(layer).keys, lengths, {
        queries: asked,
        keys: drafted.buffers(layer).keys,
        pairs: Int32Array.from(pairs),
      });
      return deviceRows(tensor, lengths, rowContext);
    },
    async repeatedAttention(cache, layer, repetition, before) {
      const { queries, tokens, seen, held, unasked, norms } = repetition;
      const stored = deviceCacheOf(cache);
      using made = new DisposableStack();
      const got = before
        ? tensorOf(before)
        : made.use(await parts.device.zeros([heads, Math.max(1, ...held)]));
      const tensor = await parts.replay.most(stored.buffers(layer).keys, {
        queries: tensorOfQueries(queries),
        lengths: stored.lengths(layer).map((length) => length - tokens),
        seen: seen.map((entries, head) => [
          ...runsOf(entries),
          // What was repeated before them; a query does not see what comes behind its own token.
          { from: held[head] ?? 0, to: stored.capacity(layer) },
        ]),
        asked: seen.map((entries, head) => runsOf(entries.subarray(unasked[head] ?? 0))),
        norms: norms?.of.home === "device"
          ? { tensor: norms.of.tensor, from: norms.layer * tokens }
          : undefined,
        before: got,
      });
      return deviceRows(tensor, held, rowContext);
    },
    async dropEffect(cache, layer, { queries, weights, power, projected }) {
      const held = deviceCacheOf(cache);
      const tensor = await parts.replay.dropEffect(held.buffers(layer), {
        queries: queries.map(tensorOfQueries),
        ...{ weights, power },
        lengths: held.lengths(layer).map((length) => length - weights.length),
        products: projected ? await parts.outputs.products(layer) : undefined,
      });
      return deviceRows(tensor, held.lengths(layer), rowContext);
    },
    async mergedValues(cache, layer, kept, { threshold, fraction }) {
      const held = deviceCacheOf(cache);
      using merging = new DisposableStack();
      if (kept.every(({ length }) => length === 0)) return { write() {}, [Symbol.dispose]() {} };
      const values = merging.use(
        await parts.merge.merged({
          ...{ buffers: held.buffers(layer), lengths: held.lengths(layer), kept, threshold },
          least: fraction === 1
            ? undefined
            : (cosines) => lowestCosine(cosines, { threshold, fraction }),
        }),
      );
      const owner = merging.move();
      return {
        write() {
          held.setValues(layer, values);
          // The cache owns them now.
          owner.move();
        },
        [Symbol.dispose]: () => owner.dispose(),
      };
    },
    async outputLengths(cache, layer) {
      const held = deviceCacheOf(cache);
      const { values } = held.buffers(layer);
      const products = await parts.outputs.products(layer);
      const tensor = await parts.replay.outputLengths(values, products);
      return deviceRows(tensor, held.lengths(layer), rowContext);
    },
  };
  return engine;
}

/** The tensors of moments that a device made. */
function tensorsOfMoments(moments: QueryMoments): MomentTensors {
  if (moments.home === "device") return moments.tensors;
  throw new TypeError("Cannot work with moments in main memory: take those of this engine");
}

/** Numbers of all global layers. */
function stayingOf(tensor: DeviceTensor): DeviceNorms & DeviceInputs {
  return { home: "device", tensor, [Symbol.dispose]: () => tensor[Symbol.dispose]() };
}

/** Runs of ascending entries that follow one another. */
function runsOf(entries: Int32Array): readonly SlotRun[] {
  const runs: { from: number; to: number }[] = [];
  for (const entry of entries) {
    const last = runs.at(-1);
    if (last?.to === entry) last.to++;
    else runs.push({ from: entry, to: entry + 1 });
  }
  return runs;
}

/** The tensor of queries that a device made. */
function tensorOfQueries(queries: StepQueries): DeviceTensor {
  if (queries.home === "device") return queries.tensor;
  throw new TypeError("Cannot work with queries in main memory: take those of this engine's steps");
}

/** The most rows that, with as many columns more than are held, make at most so many numbers. */
function maxRows(numbers: number, held: number): number {
  if (numbers === Infinity) return Infinity;
  // Capacity grows by a quarter at a time: rows · 1.25 · (held + rows) ≤ numbers.
  const max = (Math.sqrt(held * held + 4 * numbers / 1.25) - held) / 2;
  return Math.max(1, Math.floor(max));
}

/** A cache that is known to be on a device. */
function deviceCacheOf(cache: KvCache): DeviceKvCache {
  if (cache.home === "device") return cache;
  throw new TypeError(
    "Cannot run on a device with a cache in main memory: let the engine adopt it",
  );
}
