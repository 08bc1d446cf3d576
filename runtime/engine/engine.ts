import type { AdapterShape } from "../../kernels/adapters.ts";
import { rotaryRows } from "../../kernels/rope.ts";
import type { StepKernel, StepOutputs } from "../../kernels/step.ts";
import type { SoftAdapters } from "../../policies/policy.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import { PromptError } from "../errors.ts";
import { rotaryFrequencies } from "../rotary.ts";
import { adapterShape } from "../soft_adapters.ts";
import type { LayerKernels } from "./layer_kernels.ts";
import type { Turned } from "./turn_keys.ts";

/** A cache and where its text goes on. */
export interface Sequence {
  /** Keys and values so far. */
  readonly cache: KvCache;
  /** Position of the next token: eviction leaves it as it is, turning keys to others sets it back. */
  position: number;
  /** Tokens that dynamic RoPE scaling reckons with: the whole prompt, then what follows. */
  planned: number;
  /** Where the text's tokens are, since keys were turned to other positions. */
  turned?: Turned | undefined;
}

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
  /** New tokens whose logits are wanted. @default {the last one} */
  readonly rows?: readonly number[];
}

/** What a probe reads. */
export interface ProbeInput extends StepInput {
  /** Low-rank weights that act on all rows of this probe, and on nothing else. */
  readonly adapters?: SoftAdapters;
}

/** Runs the step graph on sequences. */
export interface Engine {
  /** Sizes and settings of the model. */
  readonly config: ModelConfig;
  /** Threads of its kernels. */
  readonly threads: number;
  /**
   * Cosines between the keys of some tokens and those of all, `[tokens, length]`.
   *
   * @param keys Keys of one layer, `[length, kvHeads · headDim]`.
   * @param count KV heads that the keys are of. @default {all of the model}
   */
  similarity(
    keys: Float32Array,
    kvHead: number,
    tokens: Int32Array,
    count?: number,
  ): Promise<Float32Array>;
  /**
   * How far values of a layer can move its output, `[heads, tokens]`.
   *
   * @param values `[tokens, kvHeads · headDim]`, or `[tokens, headDim]` of one KV head.
   * @param kvHead That head. @default {all of them}
   */
  outputNorms(values: Float32Array, layer: number, kvHead?: number): Promise<Float32Array>;
  /** Reads tokens and appends their keys and values to the cache. */
  advance(sequence: Sequence, input: StepInput): Promise<StepOutputs>;
  /**
   * Reads tokens after the sequence without leaving a trace in it.
   *
   * @throws {CheckpointError} If the adapters do not fit the model.
   */
  probe(sequence: Sequence, input: ProbeInput): Promise<StepOutputs>;
}

/**
 * Joins a loaded step graph and the settings of its model.
 *
 * @param adapted Gives the step graph with adapters, for the probes that have some.
 */
export function createEngine(
  kernel: StepKernel,
  { config, threads, kernels }: Pick<Engine, "config" | "threads"> & { kernels: LayerKernels },
  adapted: (shape: AdapterShape) => Promise<StepKernel>,
): Engine {
  const count = ({ ids = [], embeddings }: StepInput) =>
    ids.length + (embeddings?.length ?? 0) / config.hidden;
  const step = (
    { cache, position, planned }: Sequence,
    input: StepInput,
    { run }: StepKernel = kernel,
    adapters?: SoftAdapters["tensors"],
  ) => {
    const { ids = [] } = input;
    const tokens = count(input);
    if (tokens < 1) {
      throw new PromptError("Cannot run a step without tokens: give ids or embeddings");
    }
    const frequencies = rotaryFrequencies(config, Math.max(planned, position + tokens));
    return run({
      ...input,
      ...(adapters ? { adapters } : {}),
      ids,
      rotary: rotaryRows(frequencies, position, tokens),
      rows: input.rows ?? [tokens - 1],
      past: Array.from({ length: config.layers }, (_, layer) => ({
        keys: cache.keys(layer),
        values: cache.values(layer),
        segments: cache.segments(layer),
      })),
    });
  };
  return {
    config,
    threads,
    async similarity(...query) {
      const { run } = await kernels.similarity();
      return await run(...query);
    },
    async outputNorms(values, layer, kvHead) {
      const { run } = await kernels.outputNorms();
      const output = kernels.outputByHead(layer);
      if (kvHead === undefined) return await run(values, output);
      const size = output.length / config.kvHeads;
      return await run(values, output.subarray(kvHead * size, (kvHead + 1) * size));
    },
    async probe(sequence, { adapters, ...input }) {
      if (!adapters) return await step(sequence, input);
      const withAdapters = await adapted(adapterShape(adapters, config));
      return await step(sequence, input, withAdapters, adapters.tensors);
    },
    async advance(sequence, input) {
      const outputs = await step(sequence, input);
      outputs.entries.forEach(({ keys, values }, layer) => {
        sequence.cache.append(layer, keys, values, sequence.position);
      });
      sequence.position += count(input);
      return outputs;
    },
  };
}
