import type { AdapterShape } from "../../../kernels/adapters.ts";
import type { QueryGaussian } from "../../../kernels/expected_logits.ts";
import { type RotaryRows, rotaryRows, type RotarySpan } from "../../../kernels/rope.ts";
import type { StepKernel, StepOutputs } from "../../../kernels/step.ts";
import type { SoftAdapters } from "../../../policies/policy.ts";
import { createHostCache, hostCacheOf } from "../../cache/host_cache.ts";
import type { HostKvCache, KvCache } from "../../cache/kv_cache.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import { globalLayers } from "../../checkpoint/layer_kinds.ts";
import { rotaryTables } from "../../rotary/rotary_tables.ts";
import { adapterShape } from "../../soft_tokens/adapters.ts";
import {
  type AdaptedInput,
  type Engine,
  type ExpectedRows,
  type HostQueries,
  type ProbeInput,
  type StepInput,
  type StepResult,
  tokenCount,
} from "../engine.ts";
import { probeApart } from "../probe_apart.ts";
import type { Sequence } from "../sequence.ts";
import { columnsOfHead, joined, keysByHead, keysOf } from "./keys_by_head.ts";
import { bestNorms } from "./best_norms.ts";
import type { LayerKernels } from "./layer_kernels.ts";
import { hostViews, type LayerArithmetic } from "./host_view.ts";
import { emptyRows, rowsOfHead } from "../packed_rows.ts";
import type { HostInputs } from "../predicted_scores.ts";
import type { HostMoments } from "../query_moments.ts";
import type { HostRows } from "../rows.ts";
import { expectedGaussian, joinedMoments } from "./host_moments.ts";
import { hostRows } from "./host_rows.ts";
import { pastLayers, type Writing } from "./past_layers.ts";
import { predictedHere } from "./predicted_scores.ts";
import { createTogether } from "./together.ts";

/** What a step gives in main memory. */
export interface HostStepResult extends StepResult, Pick<StepOutputs, "entries" | "written"> {
  /** As {@linkcode StepResult.attentionSums}. */
  readonly attentionSums: readonly HostRows[];
  /** As {@linkcode StepResult.mostApart}. */
  readonly mostApart?: readonly HostRows[];
  /** As {@linkcode StepResult.queries}. */
  readonly queries: readonly HostQueries[];
}

/** Runs the step graph on sequences in main memory. */
export interface HostEngine extends Engine, LayerArithmetic {
  /** Sizes and settings of the model. */
  readonly config: ModelConfig;
  /** A cache that holds nothing. */
  newCache(): HostKvCache;
  /** The cache itself: it is where it belongs. */
  adopt(cache: HostKvCache): HostKvCache;
  /** Rows over an array. */
  rows(floats: Float32Array, lengths: readonly number[]): HostRows;
  /** As {@linkcode Engine.advance}. */
  advance(sequence: Sequence, input: AdaptedInput): Promise<HostStepResult>;
  /** As {@linkcode Engine.probe}. */
  probe(sequence: Sequence, input: ProbeInput): Promise<HostStepResult>;
  /**
   * What each of the last tokens of a cache pays to each token before them, `[heads, tokens, before]`, in a
   * global layer that no eviction made ragged.
   *
   * @param queries Their rotated queries, `[tokens, heads · headDim]`.
   */
  weights(cache: KvCache, layer: number, queries: Float32Array): Promise<Float32Array>;
}

/** What an engine in main memory is made of. It owns none of it. */
export interface HostParts {
  readonly config: ModelConfig;
  readonly threads: number;
  readonly step: StepKernel;
  /** Gives the step graph with adapters, for the probes that have some. */
  readonly adapted: (shape: AdapterShape) => Promise<StepKernel>;
  readonly kernels: LayerKernels;
  /** Tokens of a prompt that are read at a time. */
  readonly chunk: number;
  /** Sequences that one run of the step graph may advance. @default {1} */
  readonly sequences?: number;
}

/** Numbers of one layer's attention weights, `[heads, tokens, held and new]`, that a step lays out: 256 MB. */
const MOST_WEIGHTS = 1 << 26;

/** A step may read as many tokens behind any text: unpacking weights is to pay. */
const FEWEST_TOKENS = 64;

/** How a step departs from the usual one. */
interface StepWays {
  /** Where new entries are written. @default {elsewhere} */
  readonly writing?: Writing;
  /** How many of the first tokens are told apart. @default {0} */
  readonly apart?: number;
  /** The graph. @default {that of the engine} */
  readonly kernel?: StepKernel;
  /** Tensors of its adapters. */
  readonly adapters?: SoftAdapters["tensors"];
}

/** Runs the step graph on sequences in main memory. */
export function createHostEngine(parts: HostParts): HostEngine {
  const { config, threads, kernels, chunk } = parts;
  const { layers, heads, kvHeads, headDim } = config;
  const group = heads / kvHeads;
  const observed = globalLayers(config);
  const windows = config.layerKinds.map(({ window }) => window);
  const inputsOf = (sequence: Sequence, tokens: number, writing: Writing = "elsewhere") => {
    const { position, planned } = sequence;
    const whole = Math.max(planned, position + tokens);
    return {
      rotary: rotaryTables(config, { sequence: whole, position, tokens }),
      past: pastLayers(hostCacheOf(sequence.cache), tokens, writing),
    };
  };
  const step = async (
    sequence: Sequence,
    { temporary = false, ...input }: StepInput,
    { writing, apart = 0, kernel: { run } = parts.step, adapters }: StepWays = {},
  ): Promise<HostStepResult> => {
    const cache = hostCacheOf(sequence.cache);
    const { ids = [] } = input;
    const tokens = tokenCount(input, config.hidden);
    const outputs = await run({
      ...input,
      ...(adapters ? { adapters } : {}),
      ids,
      rounded: temporary,
      apart,
      ...inputsOf(sequence, tokens, writing),
      rows: input.rows ?? [tokens - 1],
    });
    const rowsOf = (data: Float32Array, index: number) => {
      const seen = cache.lengths(observed[index] ?? 0).map((length) => length + tokens);
      return hostRows(data, seen, group);
    };
    const { attentionSums, mostApart, inputNorms, layerInputs, ...others } = outputs;
    return {
      ...others,
      ...(inputNorms ? { inputNorms: hostLayers(inputNorms) } : {}),
      ...(layerInputs ? { layerInputs: hostLayers(layerInputs) } : {}),
      attentionSums: attentionSums.map(rowsOf),
      ...(mostApart ? { mostApart: mostApart.map(rowsOf) } : {}),
      queries: outputs.queries.map(hostQueries),
    };
  };
  const adaptedWays = async (adapters: SoftAdapters): Promise<StepWays> => ({
    kernel: await parts.adapted(adapterShape(adapters, config)),
    adapters: adapters.tensors,
  });
  const engine: HostEngine = {
    config,
    threads,
    chunk,
    home: "host",
    numberBytes: Float32Array.BYTES_PER_ELEMENT,
    newCache: () => createHostCache({ layers, kvHeads, headDim, windows }),
    adopt: (cache) => cache,
    rows: (floats, lengths) => hostRows(floats, lengths, group),
    constantRows: (number, lengths) =>
      hostRows(emptyRows(group, lengths).fill(number), lengths, group),
    // heads · tokens · (held + tokens) ≤ MOST_WEIGHTS.
    maxStepTokens: (held) =>
      Math.max(
        FEWEST_TOKENS,
        Math.floor((Math.sqrt(held * held + 4 * MOST_WEIGHTS / heads) - held) / 2),
      ),
    async similarity(...query) {
      const { run } = await kernels.similarity();
      return await run(...query);
    },
    async outputNorms(values, layer, kvHead) {
      const { run } = await kernels.outputNorms();
      const output = kernels.outputByHead(layer);
      if (kvHead === undefined) return await run(values, output);
      const size = output.length / kvHeads;
      return await run(values, output.subarray(kvHead * size, (kvHead + 1) * size));
    },
    async bestOutputNorms(values, { layer, kvHead }, { weights, count }) {
      const [{ run: lengths }, { run: norms }] = [
        await kernels.outputLengths(),
        await kernels.outputNorms(),
      ];
      const all = kernels.outputByHead(layer);
      const size = all.length / kvHeads;
      const output = all.subarray(kvHead * size, (kvHead + 1) * size);
      const choice = {
        lengths: await lengths(values, output),
        hidden: config.hidden,
        weights,
        count,
      };
      return await bestNorms(choice, (tokens) => norms(keysOf(values, headDim, tokens), output));
    },
    async probe(sequence, { adapters, apart = false, ...input }) {
      // Graphs with adapters that share no weights have no branch for bytes: with adapters it is exact in
      // all of them. They write nothing behind a cache.
      if (adapters) {
        if (apart) return await probeApart(engine, sequence, { ...input, adapters });
        return await step(sequence, { ...input, temporary: false }, await adaptedWays(adapters));
      }
      const ways = { writing: "left room", apart: apart ? input.ids?.length ?? 0 : 0 } as const;
      return await step(sequence, { ...input, temporary: true }, ways);
    },
    async advance(sequence, { adapters, ...input }) {
      // Graphs with adapters write nothing behind a cache: their entries are added below.
      const ways = adapters ? await adaptedWays(adapters) : { writing: "made room" } as const;
      const outputs = await step(sequence, input, ways);
      const cache = hostCacheOf(sequence.cache);
      const tokens = tokenCount(input, config.hidden);
      outputs.entries.forEach(({ keys, values }, layer) => {
        if (outputs.written[0]?.[layer]) cache.commit(layer, tokens, sequence.position);
        else cache.append(layer, keys, values, sequence.position);
      });
      sequence.position += tokens;
      return outputs;
    },
    predicting: (networks) => predictedHere(networks, config, threads),
    views: (cache, layer, gathered) => hostViews(hostCacheOf(cache), engine, layer, gathered),
    async addQueries(layers, skip, before) {
      const { run } = await kernels.statistics();
      const all: HostMoments[] = [];
      const tables = new Map<RotarySpan, RotaryRows>();
      for (const [index, { queries, rotary }] of layers.entries()) {
        const rows = (await queries.floats()).subarray(skip * heads * headDim);
        const added = rows.length / (heads * headDim);
        const table = tables.get(rotary) ?? rotaryRows(rotary.frequencies, rotary.start, added);
        tables.set(rotary, table);
        all.push(joinedMoments(before?.[index], await run(rows, table), added, headDim));
      }
      return all;
    },
    async expectedLogits(cache, layer, expected) {
      const { run } = await kernels.expectedLogits();
      const host = hostCacheOf(cache);
      const queries = expectedGaussian(expected, config);
      const moments: { readonly mean: Float32Array; readonly variance: Float32Array }[] = [];
      for (const { keys, head } of keysByHead(host, layer)) {
        moments.push(
          await run(keys, head === undefined ? queries : ofHead(queries, kvHeads, head)),
        );
      }
      const rows = (name: keyof ExpectedRows) =>
        hostRows(joined(moments.map((one) => one[name])), host.lengths(layer), group);
      return { mean: rows("mean"), variance: rows("variance") };
    },
    async followingAttention(cache, layer, { cache: copy, queries: parts }) {
      const { run } = await kernels.queryAttention();
      const host = hostCacheOf(cache);
      const queries = joined(await Promise.all(parts.map((part) => part.floats())));
      const own = lastKeys(hostCacheOf(copy), layer, queries.length / (heads * headDim));
      const rows: Float32Array[] = [];
      for (const { keys, head } of keysByHead(host, layer)) {
        if (head === undefined) rows.push(await run(keys, { queries, keys: own }));
        else {
          const following = {
            queries: columnsOfHead(queries, { kvHeads, width: group * headDim, head }),
            keys: columnsOfHead(own, { kvHeads, width: headDim, head }),
          };
          rows.push(await run(keys, following, 1));
        }
      }
      return hostRows(joined(rows), host.lengths(layer), group);
    },
    async weights(cache, layer, queries) {
      const { run } = await kernels.queryWeights();
      const keys = hostCacheOf(cache).keys(layer);
      const own = queries.length / group;
      const before = keys.subarray(0, keys.length - own);
      return await run(before, { queries, keys: keys.subarray(keys.length - own) });
    },
    async repeatedAttention(cache, layer, repetition, before) {
      const { queries, tokens, seen, held, unasked, norms } = repetition;
      const { run } = await kernels.mostAttention();
      const host = hostCacheOf(cache);
      const asked = await queries.floats();
      const factors = norms?.of.home === "host"
        ? norms.of.byLayer[norms.layer]?.map((norm) => 1 / norm)
        : undefined;
      const most = before ? (await before.floats()).slice() : emptyRows(group, held);
      for (const [head, entries] of seen.entries()) {
        const from = held[head] ?? 0;
        const { keys } = host.head(layer, head);
        const own = keys.length / headDim - tokens;
        const repeated = Int32Array.from({ length: own - from }, (_, index) => from + index);
        const found = await run({
          queries: columnsOfHead(asked, { kvHeads, width: group * headDim, head }),
          seen: joined([entries, repeated].map((of) => keysOf(keys, headDim, of))),
          own: keys.subarray(own * headDim),
          asked: entries.length,
          factors: factors ?? new Float32Array(tokens).fill(1),
        });
        const rows = rowsOfHead(most, group, held, head);
        for (let row = 0; row < group; row++) {
          for (let at = unasked[head] ?? 0; at < entries.length; at++) {
            const entry = row * from + (entries[at] ?? 0);
            rows[entry] = Math.max(rows[entry] ?? 0, found[row * entries.length + at] ?? 0);
          }
        }
      }
      return hostRows(most, held, group);
    },
    async dropEffect(cache, layer, { queries: parts, weights, power, projected }) {
      const { run } = await kernels.dropEffect();
      const host = hostCacheOf(cache);
      const all = joined(await Promise.all(parts.map((part) => part.floats())));
      const queries = all.subarray(all.length - weights.length * heads * headDim);
      const output = projected ? kernels.outputByHead(layer) : undefined;
      const size = (output?.length ?? 0) / kvHeads;
      const rows: Float32Array[] = [];
      for (let head = 0; head < kvHeads; head++) {
        const { keys, values } = host.head(layer, head);
        const judged = {
          ...{ keys, values, weights },
          queries: columnsOfHead(queries, { kvHeads, width: group * headDim, head }),
          output: output?.subarray(head * size, (head + 1) * size),
        };
        rows.push(await run(judged, power));
      }
      return hostRows(joined(rows), host.lengths(layer), group);
    },
    async outputLengths(cache, layer) {
      const { run } = await kernels.outputLengths();
      const output = kernels.outputByHead(layer);
      const host = hostCacheOf(cache);
      const size = output.length / kvHeads;
      const lengths: Float32Array[] = [];
      for (let head = 0; head < kvHeads; head++) {
        const { values } = host.head(layer, head);
        lengths.push(await run(values, output.subarray(head * size, (head + 1) * size)));
      }
      return hostRows(joined(lengths), host.lengths(layer), group);
    },
  };
  const { sequences = 1 } = parts;
  if (sequences === 1) return engine;
  const { run } = parts.step;
  const together = createTogether({ config, sequences, run, inputsOf, alone: engine.advance });
  return { ...engine, together };
}

function hostQueries(data: Float32Array): HostQueries {
  return { home: "host", data, floats: () => data, [Symbol.dispose]() {} };
}

function ofHead({ mean, covariance }: QueryGaussian, kvHeads: number, head: number): QueryGaussian {
  const part = (all: Float32Array) => {
    const size = all.length / kvHeads;
    return all.subarray(head * size, (head + 1) * size);
  };
  return { mean: part(mean), covariance: part(covariance) };
}

/** Keys of the last tokens, `[tokens, kvHeads · headDim]`. */
function lastKeys(cache: HostKvCache, layer: number, tokens: number): Float32Array {
  const { kvHeads, headDim } = cache;
  const keys = new Float32Array(tokens * kvHeads * headDim);
  for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
    const ofHead = cache.head(layer, kvHead).keys;
    const last = ofHead.subarray(ofHead.length - tokens * headDim);
    for (let token = 0; token < tokens; token++) {
      const row = last.subarray(token * headDim, (token + 1) * headDim);
      keys.set(row, (token * kvHeads + kvHead) * headDim);
    }
  }
  return keys;
}

/** Arrays of each global layer, which nobody has to free. */
function hostLayers(byLayer: readonly Float32Array[]): HostInputs {
  return { home: "host", byLayer, [Symbol.dispose]() {} };
}
