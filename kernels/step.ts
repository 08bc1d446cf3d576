import {
  filesOf,
  flag,
  flags,
  floats,
  floatsOf,
  int32s,
  integers,
  type Kernel,
  type Tensor,
} from "./session.ts";
import { createDirectKernel } from "./direct_kernel.ts";
import { inLargePages } from "./large_pages.ts";
import { mappedPages } from "./mapped_pages.ts";
import { adapterFeeds, adapterTensors, ranklessFeeds } from "./adapters.ts";
import type { RotaryRows } from "./rope.ts";
import { growsInPlace, liesByHead } from "./attention_nodes.ts";
import { rotaryFeeds } from "./rotary_inputs.ts";
import { sequenceNames } from "./sequence_names.ts";
import { observedLayers } from "./observed_layers.ts";
import {
  buildStepGraph,
  LAYER_INPUTS,
  type StepGraphOptions,
  WANTED_INPUTS,
  WANTED_QUERIES,
} from "./step_graph.ts";
import type { StepModel } from "./step_model.ts";

/** What one layer holds. */
export interface PastLayer {
  /** `[kvHeads, slots, headDim]`; token-major where a layer slides and has several heads. */
  readonly keys: Float32Array;
  readonly values: Float32Array;
  /** Slots that each head has filled, from the first on. @default {all} */
  readonly held?: number;
  /** Whether new entries may be written into the slots behind those. @default {false} */
  readonly writable?: boolean;
  /** Entries of each KV head, where the heads hold different numbers of tokens. */
  readonly segments?: readonly { readonly start: number; readonly length: number }[] | undefined;
}

/** What one step reads. */
export interface StepInputs {
  /** Token ids, `[S]`. */
  readonly ids: readonly number[];
  /** Rows that follow the ids, `[E, hidden]`: soft tokens. */
  readonly embeddings?: Float32Array;
  /** Rotary tables of the new tokens, one for each of the model's. */
  readonly rotary: readonly RotaryRows[];
  /** New tokens whose logits are wanted, from 0; at least one. */
  readonly rows: readonly number[];
  /** Cached keys and values of each layer. */
  readonly past: readonly PastLayer[];
  /**
   * What further sequences have cached, where each new token is the next one of a sequence of its own:
   * only for a kernel for several sequences, and none of the pasts may be empty.
   */
  readonly others?: readonly (readonly PastLayer[])[];
  /** Whether the queries are wanted. @default {false} */
  readonly queries?: boolean;
  /** Whether the norms of what each layer's attention reads are wanted. @default {false} */
  readonly inputNorms?: boolean;
  /** Whether that itself is wanted. @default {false} */
  readonly layerInputs?: boolean;
  /** Whether the attention that each key receives is wanted. @default {false} */
  readonly observe?: boolean;
  /** How many of the first new tokens are told apart from those behind them. @default {0} */
  readonly apart?: number;
  /**
   * Whether tokens are multiplied as those of an answer are, with activations in bytes, where that is
   * faster: right for tokens that are asked and not kept. @default {false}
   */
  readonly rounded?: boolean;
  /**
   * Adapter tensors by name, all of them: only for a kernel with adapters. One that holds a single copy
   * of the weights takes steps without them as well.
   */
  readonly adapters?: Readonly<Record<string, Float32Array>>;
}

/** What one step gives. */
export interface StepOutputs {
  /** `[rows, vocabulary]`. */
  readonly logits: Float32Array;
  /** New entries of a layer, views into one array: `[tokens, kvHeads · headDim]` each. */
  readonly entries: readonly { readonly keys: Float32Array; readonly values: Float32Array }[];
  /** Of each sequence, whether a layer's new entries were written behind its past, which then need not be done. */
  readonly written: readonly (readonly boolean[])[];
  /** Rotated queries of each layer, `[tokens, heads · headDim]`; empty unless asked for. */
  readonly queries: readonly Float32Array[];
  /**
   * Attention that each key, cached or new, received from the new tokens, summed over them,
   * `[heads, P + tokens]` for each global layer, each row as long as its head where the heads hold different
   * numbers of tokens; empty unless asked for.
   */
  readonly attentionSums: readonly Float32Array[];
  /** The most that one of the first tokens pays, where these are told apart: `attentionSums` are of the others then. */
  readonly mostApart?: readonly Float32Array[];
  /**
   * Norms of what the attention of each global layer reads, `[tokens]` each; empty unless asked for, and in a
   * decoding step.
   */
  readonly inputNorms?: readonly Float32Array[];
  /**
   * What the attention of each global layer reads, `[tokens, hidden]` each; empty unless asked for, and in a
   * decoding step.
   */
  readonly layerInputs?: readonly Float32Array[];
}

/** The step graph, loaded. */
export interface StepKernel extends AsyncDisposable {
  run(inputs: StepInputs): Promise<StepOutputs>;
}

/**
 * Loads the step graph of a model.
 *
 * @param options With adapters, every new token of every step gets them: a kernel of its own.
 */
export async function createStepKernel(
  model: StepModel,
  threads: number,
  options: StepGraphOptions = {},
): Promise<StepKernel> {
  const graph = buildStepGraph(model, options);
  const once = options.copies === "one";
  using opening = new DisposableStack();
  const pages = opening.use(mappedPages(new Set(filesOf(graph))));
  const open = () => createDirectKernel(graph, { threads, spinning: true, planned: !once });
  // Laying large weights out anew would take as long as loading them.
  const kernel = await pages.whileLoading(() => once ? open() : inLargePages(open));
  pages.release();
  const held = opening.move();
  const tensors = options.adapters ? adapterTensors(model, options.adapters) : [];
  const adapterInputs = (adapters: StepInputs["adapters"]) =>
    once ? ranklessFeeds(tensors, adapters) : adapterFeeds(tensors, adapters);
  const layers = model.layers.length;
  const pasts = pastFeeds(model, options.sequences ?? 1, kernel.writes);
  const queryNames = model.layers.map((_, layer) => `queries.${layer}`);
  const sums = observedLayers(model).map((layer) => `attention_sums.${layer}`);
  return {
    async run(inputs) {
      const { queries = false, observe = false, inputNorms = false, layerInputs = false } = inputs;
      const { feeds, into, written } = pasts([inputs.past, ...(inputs.others ?? [])]);
      const wanted = [
        "logits",
        "entries",
        ...(queries ? queryNames : []),
        ...(observe ? sums : []),
        ...(inputNorms ? ["input_norms"] : []),
        ...(layerInputs ? [LAYER_INPUTS] : []),
      ];
      const outputs = await kernel.run({
        ...feedsOf(model, inputs),
        ...adapterInputs(inputs.adapters),
        ...(once
          ? { [WANTED_QUERIES]: integers([queries ? newTokens(inputs, model.hidden) : 0]) }
          : {}),
        ...feeds,
      }, {
        ...Object.fromEntries(wanted.map((name) => [name, null])),
        ...into,
      });
      // Where weights lie in memory once, rows of the embedding are all that steps read from files; each
      // row of a prompt brings its neighbours.
      if (once && newTokens(inputs, model.hidden) > 1) pages.release();
      return {
        logits: floatsOf(outputs.logits),
        entries: splitEntries(floatsOf(outputs.entries), layers),
        written,
        queries: queries ? queryNames.map((name) => floatsOf(outputs[name])) : [],
        ...sumsOf(observe ? sums.map((name) => floatsOf(outputs[name])) : [], inputs.apart),
        ...(inputNorms
          ? { inputNorms: partsByLayer(floatsOf(outputs.input_norms), sums.length) }
          : {}),
        ...(layerInputs
          ? { layerInputs: partsByLayer(floatsOf(outputs[LAYER_INPUTS]), sums.length) }
          : {}),
      };
    },
    async [Symbol.asyncDispose]() {
      held.dispose();
      await (kernel satisfies Kernel)[Symbol.asyncDispose]();
    },
  };
}

function newTokens({ ids, embeddings }: StepInputs, hidden: number): number {
  return ids.length + (embeddings?.length ?? 0) / hidden;
}

function feedsOf(
  { hidden, headDim }: StepModel,
  { ids, embeddings = new Float32Array(0), rotary, rows, ...ways }: StepInputs,
): Record<string, Tensor> {
  const soft = embeddings.length / hidden;
  const tokens = ids.length + soft;
  return {
    ids: integers(ids),
    embeddings: floats(embeddings, [soft, hidden]),
    ...rotaryFeeds(rotary, [tokens, headDim / 2]),
    rows: integers(rows),
    observe: flag(ways.observe ?? false),
    rounded: flag(isRounded(tokens, ways)),
    apart: integers([ways.observe ? ways.apart ?? 0 : 0]),
    [WANTED_INPUTS]: integers([ways.layerInputs ? tokens : 0]),
  };
}

/** Sums of all new tokens, or the most of the first ones and sums of the others. */
function sumsOf(
  all: readonly Float32Array[],
  apart = 0,
): Pick<StepOutputs, "attentionSums" | "mostApart"> {
  if (apart === 0) return { attentionSums: all };
  return {
    mostApart: all.map((both) => both.subarray(0, both.length / 2)),
    attentionSums: all.map((both) => notBelowZero(both.subarray(both.length / 2))),
  };
}

// Sums of the others are differences: rounding makes no attention less than none.
function notBelowZero(sums: Float32Array): Float32Array {
  for (let index = 0; index < sums.length; index++) if ((sums[index] ?? 0) < 0) sums[index] = 0;
  return sums;
}

/** Tokens above which unpacking weights costs less than multiplying each row in bytes. */
const MOST_ROUNDED = 48;

/** One token that nobody observes is read in bytes anyway, by attention of its own. */
function isRounded(
  tokens: number,
  { rounded, observe, inputNorms, layerInputs }: Pick<
    StepInputs,
    "rounded" | "observe" | "inputNorms" | "layerInputs"
  >,
): boolean {
  return rounded === true && !inputNorms && !layerInputs && (tokens > 1 || observe === true) &&
    tokens <= MOST_ROUNDED;
}

interface PastFeeds {
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** Outputs that are written behind the past. */
  readonly into: Readonly<Record<string, Tensor>>;
  readonly written: StepOutputs["written"];
}

/** Gives the feeds of what sequences have cached; those that are absent share one token of zeros. */
function pastFeeds(
  model: StepModel,
  sequences: number,
  writes: boolean,
): (pasts: readonly (readonly PastLayer[])[]) => PastFeeds {
  const { layers: { length: layers }, layerKinds, kvHeads, headDim } = model;
  const width = kvHeads * headDim;
  const absentByHead = floats(new Float32Array(width), [1, kvHeads, 1, headDim]);
  const absentByToken = floats(new Float32Array(width), [1, kvHeads, headDim]);
  const ways = Array.from({ length: layers }, (_, layer) => {
    const window = layerKinds[layer]?.window;
    const byHead = liesByHead(model, window);
    const shape = (slots: number) =>
      byHead ? [1, kvHeads, slots, headDim] : [slots, kvHeads, headDim];
    const tensor = (of: Float32Array) => floats(of, shape(of.length / width));
    const absent = byHead ? absentByHead : absentByToken;
    return { grows: writes && growsInPlace(model, window), tensor, absent };
  });
  const names = Array.from({ length: sequences }, (_, sequence) => sequenceNames(sequence));
  return (pasts) => {
    const held = new Int32Array(sequences * layers);
    const ragged = new Array<boolean>(sequences * layers).fill(false);
    const segments = new Int32Array(sequences * layers * 2 * kvHeads);
    const [feeds, into]: [Record<string, Tensor>, Record<string, Tensor>] = [{}, {}];
    const written = names.map((of, sequence) =>
      ways.map(({ grows, tensor, absent }, layer) => {
        const index = sequence * layers + layer;
        const past = pasts[sequence]?.[layer];
        const [keys, values] = past ? [tensor(past.keys), tensor(past.values)] : [absent, absent];
        feeds[of.keys(layer)] = keys;
        feeds[of.values(layer)] = values;
        held[index] = past ? past.held ?? past.keys.length / width : 1;
        past?.segments?.forEach(({ start, length }, head) => {
          ragged[index] = true;
          segments[2 * kvHeads * index + head] = start;
          segments[2 * kvHeads * index + kvHeads + head] = start + length;
        });
        if (!past?.writable || !grows) return false;
        into[of.presentKeys(layer)] = keys;
        into[of.presentValues(layer)] = values;
        return true;
      })
    );
    feeds.held = int32s(held, [sequences, layers]);
    feeds.ragged = flags(ragged, [sequences, layers]);
    feeds.segments = integers(segments, [sequences, layers, 2 * kvHeads]);
    if (sequences > 1) feeds.sequences = integers([pasts.length]);
    return { feeds, into, written };
  };
}

/** Numbers of each layer, which lie one behind the other. */
function partsByLayer(
  all: Float32Array,
  layers: number,
): readonly Float32Array[] {
  const size = all.length / layers;
  return Array.from({ length: layers }, (_, at) => all.subarray(at * size, (at + 1) * size));
}

function splitEntries(entries: Float32Array, layers: number): StepOutputs["entries"] {
  const plane = entries.length / layers / 2;
  return Array.from({ length: layers }, (_, layer) => ({
    keys: entries.subarray(2 * layer * plane, (2 * layer + 1) * plane),
    values: entries.subarray((2 * layer + 1) * plane, (2 * layer + 2) * plane),
  }));
}
