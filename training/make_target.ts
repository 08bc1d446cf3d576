import type { HostKvCache } from "../runtime/cache/kv_cache.ts";
import type { Sequence } from "../runtime/engine/sequence.ts";
import type { HostEngine } from "../runtime/engine/host/host_engine.ts";
import { joined } from "../runtime/engine/host/keys_by_head.ts";
import { replayedAttention } from "../runtime/evidence/replay.ts";
import { greedyAnswer, type GreedyStart } from "../runtime/evidence/greedy.ts";
import { prefill } from "../runtime/engine/prefill.ts";
import type { Tokenizer } from "../runtime/tokenizer/tokenizer.ts";
import { turnEnd } from "../runtime/tokenizer/turn_end.ts";
import { kvZip } from "../policies/kvzip.ts";
import { answerMaps } from "./answer_maps.ts";
import type { OwnResponse, PromptCache, ResponseSource, Target } from "./target.ts";

/** How prompts are read for training. */
export interface ReadingOptions {
  /** Prompt tokens read at a time. @default {512} */
  readonly chunk?: number;
  readonly signal?: AbortSignal;
}

/** What a target is made by. */
export interface TargetMaker {
  readonly engine: HostEngine;
  readonly tokenizer: Tokenizer;
}

/**
 * Reads a prompt, answers or repeats it, and measures the attention of that to the prompt.
 *
 * @returns The target, and the prompt's keys and values.
 */
export async function makeTarget(
  { engine, tokenizer }: TargetMaker,
  prompt: readonly number[],
  response: ResponseSource,
  options: ReadingOptions = {},
): Promise<{ readonly target: Target; readonly past: PromptCache }> {
  using reading = await readPrompt(engine, prompt, options);
  const { sequence, logits } = reading;
  const past = halved(sequence);
  const { signal } = options;
  if (response.kind === "repeated") {
    const attention = await repeatedMaps(response.chunk, {
      engine,
      tokenizer,
      sequence,
      prompt,
      signal,
    });
    const ids = Int32Array.from(prompt);
    return { target: { prompt: ids, response: ids, attention }, past };
  }
  const start = { engine, sequence, logits, ...(signal ? { signal } : {}) };
  const ids = response.kind === "original"
    ? response.ids
    : await ownAnswer({ ...start, steps: response.tokens }, response, tokenizer);
  const { mean, ...others } = await answerMaps(engine, sequence, ids);
  return {
    target: {
      prompt: Int32Array.from(prompt),
      response: Int32Array.from(ids),
      attention: mean,
      others,
    },
    past,
  };
}

/** What a prompt's tokens get at most when the model repeats it, `[layers, heads, n]`. */
async function repeatedMaps(
  chunk: number,
  { engine, tokenizer, sequence, prompt, signal }: TargetMaker & {
    readonly sequence: Sequence<HostKvCache>;
    readonly prompt: readonly number[];
    readonly signal: AbortSignal | undefined;
  },
): Promise<Float32Array> {
  const { evidence } = kvZip({ chunk });
  if (evidence.kind !== "replay") throw new TypeError("KVzip judges by a repetition");
  using scope = new DisposableStack();
  const layers = await replayedAttention(evidence, {
    ...{ engine, sequence, text: prompt, scope, signal },
    facts: {
      encode: (text) => tokenizer.encode(text, { bos: false }),
      turnEnd: turnEnd(tokenizer),
    },
  });
  return joined(await Promise.all(layers.map((rows) => rows.floats())));
}

/** The model's own answer, at least one token, as far as the text that it ends before. */
async function ownAnswer(
  start: GreedyStart,
  { until }: OwnResponse,
  tokenizer: Pick<Tokenizer, "decode">,
): Promise<readonly number[]> {
  if (until === undefined) return await greedyAnswer(start);
  const end = (ids: readonly number[]) => tokenizer.decode(ids).indexOf(until);
  const ids = await greedyAnswer(start, (ids) => end(ids) >= 0);
  const at = end(ids);
  if (at < 0) return ids;
  const within = ids.findLastIndex((_, last) => tokenizer.decode(ids.slice(0, last)).length <= at);
  return ids.slice(0, Math.max(1, within));
}

/** The keys and values of a prompt, made again: for runs that do not keep them on disk. */
export async function recomputePast(
  engine: HostEngine,
  prompt: readonly number[],
  options: ReadingOptions = {},
): Promise<PromptCache> {
  using reading = await readPrompt(engine, prompt, options);
  return halved(reading.sequence);
}

interface PromptReading extends Disposable {
  readonly sequence: Sequence<HostKvCache>;
  readonly logits: Float32Array;
}

async function readPrompt(
  engine: HostEngine,
  prompt: readonly number[],
  { chunk = 512, signal }: ReadingOptions,
): Promise<PromptReading> {
  const cache = engine.newCache();
  const sequence = { cache, position: 0, planned: 0 };
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

function halved({ cache }: Sequence<HostKvCache>): PromptCache {
  return Array.from({ length: cache.layers }, (_, layer) => ({
    keys: new Float16Array(cache.keys(layer)),
    values: new Float16Array(cache.values(layer)),
  }));
}
