import type { DeviceTensor } from "../../kernels/device/device.ts";
import type { RotarySpan } from "../../kernels/rope.ts";
import type {
  LayerView,
  MaybePromise,
  Merging,
  SoftAdapters,
  SurrogateLayer,
} from "../../policies/policy.ts";
import type { BudgetShape } from "../cache/bytes_per_token.ts";
import type { HostKvCache, KvCache } from "../cache/kv_cache.ts";
import { mostSliding } from "../cache/windows.ts";
import type { Drawing } from "../sampling/drawing.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import { globalLayers } from "../checkpoint/layer_kinds.ts";
import { PromptError } from "../errors.ts";
import type { ExpectedQueries, QueryMoments } from "./query_moments.ts";
import type { LayerInputs, PredictedScores } from "./predicted_scores.ts";
import type { Rows } from "./rows.ts";
import type { NextToken, Sequence } from "./sequence.ts";

/** Tokens, or rows of embeddings, that one step reads. */
export interface StepInput {
  /** Token ids. */
  readonly ids?: readonly number[];
  /** `[tokens, hidden]`. */
  readonly embeddings?: Float32Array;
  /** Whether the attention that each key receives is wanted. @default {false} */
  readonly observe?: boolean;
  /** Whether the queries are wanted. @default {false} */
  readonly queries?: boolean;
  /**
   * Whether nothing of it stays, and no answer begins with what it gives: some tokens may then be read as
   * those of an answer are, where that is faster.
   *
   * @default {false}
   */
  readonly temporary?: boolean;
  /**
   * Whether the norms of what each global layer's attention reads are wanted: of more than one token, or
   * with `observe`.
   *
   * @default {false}
   */
  readonly inputNorms?: boolean;
  /** Whether that itself is wanted, as the norms are. @default {false} */
  readonly layerInputs?: boolean;
  /** New tokens whose logits are wanted. @default {the last one} */
  readonly rows?: readonly number[];
  /**
   * What of the last token's logits is wanted: which token is likeliest behind it, or nothing. Engines on a device
   * may then leave them there; others give them all the same.
   *
   * @default {"logits"}
   */
  readonly next?: "logits" | "likeliest" | "nothing";
}

/** What a step reads that may run with low-rank weights. */
export interface AdaptedInput extends StepInput {
  /** Low-rank weights that act on all rows of this step, and on nothing else. */
  readonly adapters?: SoftAdapters;
}

/** What a probe reads. */
export interface ProbeInput extends AdaptedInput {
  /**
   * Whether the attention that ids pay is told apart from that of embeddings, of which there must be some: the
   * most that one of the ids pays. No adapters act on the ids then.
   *
   * @default {false}
   */
  readonly apart?: boolean;
}

/** What a step gives. Its rows, queries, norms and inputs are the caller's to dispose of. */
export interface StepResult {
  /** `[rows, vocabulary]`; may be empty where less was asked for. */
  readonly logits: Float32Array;
  /** The likeliest token behind the last one, where no more was asked for and the logits were left on a device. */
  readonly likeliest?: number;
  /**
   * Attention that each key, cached or new, received from the new tokens, of the global layers in their
   * order; none unless asked for.
   */
  readonly attentionSums: readonly Rows[];
  /**
   * The most that one of a probe's ids pays, where they are told apart: `attentionSums` are of its embeddings then.
   */
  readonly mostApart?: readonly Rows[];
  /** Rotated queries of each layer; none unless asked for. */
  readonly queries: readonly StepQueries[];
  /** Norms of what each global layer's attention reads; none unless asked for. */
  readonly inputNorms?: StepNorms;
  /** What each global layer's attention reads; none unless asked for. */
  readonly layerInputs?: LayerInputs;
}

/** What reading a token and drawing the next gives. */
export interface DrawnStep {
  /** The token that was drawn; absent where only a sampler can tell, from the logits. */
  readonly id?: number;
  /** Where there is no id, or it ends the answer. */
  readonly logits?: Float32Array;
}

/** Rotated queries of one layer, `[tokens, heads · headDim]`, where the cache lives. */
export type StepQueries = HostQueries | DeviceQueries;

/** Queries in main memory. */
export interface HostQueries extends Disposable {
  /** Main memory. */
  readonly home: "host";
  /** The numbers. */
  readonly data: Float32Array;
  /** The same. */
  floats(): Float32Array;
}

/** Queries on a device. */
export interface DeviceQueries extends Disposable {
  /** A device. */
  readonly home: "device";
  /** The numbers. */
  readonly tensor: DeviceTensor;
  /** The numbers, brought to main memory. */
  floats(): Promise<Float32Array>;
}

/** Tokens that queries are of. */
export function queryCount(
  queries: StepQueries,
  { heads, headDim }: Pick<ModelConfig, "heads" | "headDim">,
): number {
  return queries.home === "device"
    ? queries.tensor.dims[0] ?? 0
    : queries.data.length / (heads * headDim);
}

/** Norms of what the attention of each global layer reads, for the tokens of a step, where the cache lives. */
export type StepNorms = HostNorms | DeviceNorms;

/** Norms in main memory. */
export interface HostNorms extends Disposable {
  /** Main memory. */
  readonly home: "host";
  /** `[tokens]` of each global layer. */
  readonly byLayer: readonly Float32Array[];
}

/** Norms on a device. */
export interface DeviceNorms extends Disposable {
  /** A device. */
  readonly home: "device";
  /** `[global layers · tokens]`. */
  readonly tensor: DeviceTensor;
}

/** Queries of one layer, and how they were rotated. */
export interface RotatedQueries {
  /** Rotated, `[tokens, heads · headDim]`. */
  readonly queries: StepQueries;
  /** Of the tokens that are not left out. Layers that are rotated alike have the same object. */
  readonly rotary: RotarySpan;
}

/** Tokens that were decoded behind a cache, on a copy of it. */
export interface Following {
  /** The copy: its last entries are the tokens' own. */
  readonly cache: KvCache;
  /** Their rotated queries in one layer, `[tokens, heads · headDim]` of each step that read some of them. */
  readonly queries: readonly StepQueries[];
}

/** Tokens at the end of a cache that repeat a part of what stands before. */
export interface Repetition {
  /** Their rotated queries in one layer. */
  readonly queries: StepQueries;
  /** How many there are. */
  readonly tokens: number;
  /**
   * Entries of each KV head that they see besides the repetition up to themselves: ascending indices.
   * All that come behind the first `held` belong to the repetition.
   */
  readonly seen: readonly Int32Array[];
  /** Entries of each KV head before the repetition. */
  readonly held: readonly number[];
  /** The first of the `seen` entries of each KV head that are not asked about. */
  readonly unasked: readonly number[];
  /** What the weights of each query are divided by: the norms of one of the global layers. @default {1} */
  readonly norms?: { readonly of: StepNorms; readonly layer: number } | undefined;
}

/** What tokens at the end of a cache would miss without each of its entries. */
export interface Missing {
  /** Rotated queries in one layer, `[tokens, heads · headDim]` of each step: theirs are the last. */
  readonly queries: readonly StepQueries[];
  /** Weight of each of theirs. */
  readonly weights: Float32Array;
  /** Power of the lengths. */
  readonly power: 1 | 2;
  /** Whether lengths are those behind the layer's output matrix. */
  readonly projected: boolean;
}

/** Moments of the logits of a layer's tokens. */
export interface ExpectedRows {
  /** Means. */
  readonly mean: Rows;
  /** Variances. */
  readonly variance: Rows;
}

/** Values that the tokens which stay get once their layer is compacted. */
export interface ValuesToWrite extends Disposable {
  /** To be called then. */
  write(): MaybePromise<void>;
}

/** What was gathered for a policy, per global layer. */
export interface Gathered {
  /** Attention to each cached token; absent where there are no queries. */
  readonly attention?: readonly Rows[];
  /** The most that the last prompt token or one of a draft pays; absent without a draft. */
  readonly draft?: readonly Rows[];
  /** Absent without statistics. */
  readonly expected?: readonly ExpectedRows[];
}

/** Runs the step graph on sequences, and what evidence takes, where caches live. */
export interface Engine {
  /** Sizes and settings of the model. */
  readonly config: ModelConfig;
  /** Where its caches lie. */
  readonly home: KvCache["home"];
  /** Threads of its kernels. */
  readonly threads: number;
  /** Bytes of a number in its caches. */
  readonly numberBytes: number;
  /** Tokens that one step reads best: more bound no time, fewer cost some. */
  readonly chunk: number;
  /** A cache that holds nothing. */
  newCache(): KvCache;
  /** Brings a cache from main memory; the engine owns it from then on. */
  adopt(cache: HostKvCache): MaybePromise<KvCache>;
  /**
   * Brings rows from main memory.
   *
   * @param lengths Columns of each KV head.
   */
  rows(floats: Float32Array, lengths: readonly number[]): MaybePromise<Rows>;
  /**
   * Rows of one number.
   *
   * @param lengths Columns of each KV head.
   */
  constantRows(number: number, lengths: readonly number[]): MaybePromise<Rows>;
  /** Tokens that one step may read at most, behind so many that are held. */
  maxStepTokens(held: number): number;
  /**
   * Reads tokens and appends their keys and values to the cache.
   *
   * @throws {CheckpointError} If the adapters do not fit the model.
   */
  advance(sequence: Sequence, input: AdaptedInput): Promise<StepResult>;
  /**
   * Reads one token and draws the one behind it where the cache lives, so that its logits need not be
   * brought; absent on engines in main memory. `undefined`, and nothing is read, where that cannot be.
   */
  readonly draw?: (
    sequence: Sequence,
    id: number,
    drawing: Drawing,
  ) => Promise<DrawnStep | undefined>;
  /**
   * Reads one token behind each of several sequences, where that is less work than one after the other:
   * see `advanceTogether`.
   */
  readonly together?: (next: readonly NextToken[]) => Promise<readonly Float32Array[]>;
  /**
   * Reads tokens after the sequence without leaving a trace in it.
   *
   * @throws {CheckpointError} If the adapters do not fit the model.
   */
  probe(sequence: Sequence, input: ProbeInput): Promise<StepResult>;
  /**
   * Shows a global layer to a policy, counted among its like: where the KV heads hold different numbers
   * of tokens, each as a layer of its own.
   *
   * @param layer Its number among all layers.
   * @param onCopy Gets the number of bytes that had to be copied off a device, because the policy
   * asked for them.
   */
  views(
    cache: KvCache,
    layer: number,
    gathered: Gathered,
    onCopy?: (bytes: number) => void,
  ): readonly LayerView[];
  /**
   * Adds the un-rotated queries of some tokens to moments of layers.
   *
   * @param skip The first tokens that are left out.
   * @param before Moments of each of these layers. Absent: nothing was added yet.
   * @returns New moments; those before are left as they are.
   */
  addQueries(
    layers: readonly RotatedQueries[],
    skip: number,
    before?: readonly QueryMoments[],
  ): Promise<readonly QueryMoments[]>;
  /**
   * Moments of the logits of a layer's tokens under Gaussian queries.
   *
   * @param queries Their moments, which are rotated first. Without any, all are 0.
   */
  expectedLogits(cache: KvCache, layer: number, queries: ExpectedQueries): Promise<ExpectedRows>;
  /** Attention that a layer's tokens receive from tokens that follow them, summed over these. */
  followingAttention(cache: KvCache, layer: number, following: Following): Promise<Rows>;
  /**
   * The most that a token of a repetition gives to each entry that is asked about, of a global layer, or what it
   * got before where that is more.
   *
   * @param before Of the entries before the repetition. @default {0}
   * @returns New rows, of the same entries.
   */
  repeatedAttention(
    cache: KvCache,
    layer: number,
    repetition: Repetition,
    before?: Rows,
  ): Promise<Rows>;
  /**
   * How far the outputs of the last tokens of a global layer would move without each of its entries, the tokens'
   * own included: see `DropMeasure`.
   */
  dropEffect(cache: KvCache, layer: number, missing: Missing): Promise<Rows>;
  /**
   * Values of a layer's tokens that stay, once those of the others have gone into them; absent on engines in main
   * memory, where caches are shown.
   *
   * @param kept Ascending indices per KV head.
   */
  readonly mergedValues?: (
    cache: KvCache,
    layer: number,
    kept: readonly Int32Array[],
    merging: Merging,
  ) => Promise<ValuesToWrite>;
  /**
   * Begins to predict scores of what is read.
   *
   * @param networks One for each global layer.
   */
  predicting(networks: readonly SurrogateLayer[]): PredictedScores;
  /** Lengths of `W_O · V` for each query head and token of a layer. */
  outputLengths(cache: KvCache, layer: number): Promise<Rows>;
}

/**
 * Tokens that a step reads.
 *
 * @throws {PromptError} If there are none.
 */
export function tokenCount({ ids = [], embeddings }: StepInput, hidden: number): number {
  const tokens = ids.length + (embeddings?.length ?? 0) / hidden;
  if (tokens >= 1) return tokens;
  throw new PromptError("Cannot run a step without tokens: give ids or embeddings");
}

/** Sizes of the caches of an engine, as budgets see them. */
export function cacheShapeOf(
  { config, numberBytes }: Pick<Engine, "config" | "numberBytes">,
): BudgetShape {
  const { kvHeads, headDim, layerKinds } = config;
  const windows = layerKinds.flatMap(({ window }) => window ?? []);
  return {
    layers: globalLayers(config).length,
    kvHeads,
    headDim,
    numberBytes,
    ...(windows.length > 0 ? { sliding: windows.map((window) => mostSliding({ window })) } : {}),
  };
}
