import { rotaryRows } from "../../kernels/rope.ts";
import type { StepKernel, StepOutputs } from "../../kernels/step.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import { PromptError } from "../errors.ts";
import { rotaryFrequencies } from "../rotary.ts";

/** A cache and where its text goes on. */
export interface Sequence {
  /** Keys and values so far. */
  readonly cache: KvCache;
  /** True position of the next token: eviction never changes it. */
  position: number;
  /** Tokens that dynamic RoPE scaling reckons with: the whole prompt, then what follows. */
  planned: number;
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

/** Runs the step graph on sequences. */
export interface Engine {
  /** Sizes and settings of the model. */
  readonly config: ModelConfig;
  /** Reads tokens and appends their keys and values to the cache. */
  advance(sequence: Sequence, input: StepInput): Promise<StepOutputs>;
  /** Reads tokens after the sequence without leaving a trace in it. */
  probe(sequence: Sequence, input: StepInput): Promise<StepOutputs>;
}

/** Joins a loaded step graph and the settings of its model. */
export function createEngine(kernel: StepKernel, config: ModelConfig): Engine {
  const count = ({ ids = [], embeddings }: StepInput) =>
    ids.length + (embeddings?.length ?? 0) / config.hidden;
  const step = ({ cache, position, planned }: Sequence, input: StepInput) => {
    const { ids = [] } = input;
    const tokens = count(input);
    if (tokens < 1) {
      throw new PromptError("Cannot run a step without tokens: give ids or embeddings");
    }
    const frequencies = rotaryFrequencies(config, Math.max(planned, position + tokens));
    return kernel.run({
      ...input,
      ids,
      rotary: rotaryRows(frequencies, position, tokens),
      rows: input.rows ?? [tokens - 1],
      past: Array.from({ length: config.layers }, (_, layer) => ({
        keys: cache.keys(layer),
        values: cache.values(layer),
      })),
    });
  };
  return {
    config,
    probe: step,
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
