import { createHostCache } from "../runtime/cache/host_cache.ts";
import type { Engine, Sequence } from "../runtime/engine/engine.ts";
import { meanOverPrompt } from "../runtime/engine/evidence.ts";
import { greedyAnswer } from "../runtime/engine/greedy_answer.ts";
import { prefill } from "../runtime/engine/prefill.ts";
import type { PromptCache, ResponseSource, Target } from "./target.ts";

/** How prompts are read for training. */
export interface ReadingOptions {
  /** Prompt tokens read at a time. @default {512} */
  readonly chunk?: number;
  readonly signal?: AbortSignal;
}

/**
 * Reads a prompt, answers it, and measures the answer's attention to the prompt.
 *
 * @returns The target, and the prompt's keys and values.
 */
export async function makeTarget(
  engine: Engine,
  prompt: readonly number[],
  response: ResponseSource,
  options: ReadingOptions = {},
): Promise<{ readonly target: Target; readonly past: PromptCache }> {
  using reading = await readPrompt(engine, prompt, options);
  const { sequence, logits } = reading;
  const { signal } = options;
  const ids = response.kind === "original" ? response.ids : await greedyAnswer({
    engine,
    sequence,
    logits,
    steps: response.tokens,
    ...(signal ? { signal } : {}),
  });
  const { received } = await engine.probe(sequence, { ids, observe: true });
  const layers = meanOverPrompt(received, sequence, ids.length);
  const { heads } = engine.config;
  const plane = heads * prompt.length;
  const attention = new Float32Array(layers.length * plane);
  layers.forEach((values, layer) => attention.set(values, layer * plane));
  return {
    target: { prompt: Int32Array.from(prompt), response: Int32Array.from(ids), attention },
    past: halved(sequence),
  };
}

/** The keys and values of a prompt, made anew: for runs that do not keep them on disk. */
export async function recomputePast(
  engine: Engine,
  prompt: readonly number[],
  options: ReadingOptions = {},
): Promise<PromptCache> {
  using reading = await readPrompt(engine, prompt, options);
  return halved(reading.sequence);
}

interface PromptReading extends Disposable {
  readonly sequence: Sequence;
  readonly logits: Float32Array;
}

async function readPrompt(
  engine: Engine,
  prompt: readonly number[],
  { chunk = 512, signal }: ReadingOptions,
): Promise<PromptReading> {
  const { layers, kvHeads, headDim } = engine.config;
  const cache = createHostCache({ layers, kvHeads, headDim, capacity: 0 });
  const sequence: Sequence = { cache, position: 0, planned: 0 };
  try {
    const { logits } = await prefill(engine, sequence, prompt, {
      chunk,
      observe: "none",
      ...(signal ? { signal } : {}),
    });
    return { sequence, logits, [Symbol.dispose]: () => cache[Symbol.dispose]() };
  } catch (error) {
    cache[Symbol.dispose]();
    throw error;
  }
}

function halved({ cache }: Sequence): PromptCache {
  return Array.from({ length: cache.layers }, (_, layer) => ({
    keys: new Float16Array(cache.keys(layer)),
    values: new Float16Array(cache.values(layer)),
  }));
}
