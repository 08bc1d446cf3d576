import type { Engine, Sequence } from "./engine/engine.ts";
import { pause } from "./engine/pause.ts";
import { PromptError } from "./errors.ts";
import { createSampler, type SamplingOptions } from "./sampling/sampler.ts";
import { createStopText } from "./sampling/stop_text.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

/** How an answer is made. */
export interface GenerateOptions extends SamplingOptions {
  /** Most tokens of the answer. @default {256} */
  readonly maxTokens?: number;
  /** Texts that end the answer; they are not part of it. */
  readonly stop?: readonly string[];
  /** Ends the answer early; what was made stays. */
  readonly signal?: AbortSignal;
}

/**
 * Why an answer ended: a stop token or text, the most tokens or the end of the context, or its
 * `signal`.
 */
export type FinishReason = "stop" | "length" | "abort";

/** An answer: iterate over it for the text as it is made, then read the rest. */
export interface Generation extends AsyncIterable<string> {
  /** Token ids so far, without the one that ended it. */
  readonly ids: readonly number[];
  /** Text so far. */
  readonly text: string;
  /** `undefined` while it is being made. */
  readonly finishReason: FinishReason | undefined;
}

/** What a generation starts from. */
export interface GenerationStart {
  readonly engine: Engine;
  readonly sequence: Sequence;
  readonly tokenizer: Tokenizer;
  /** Logits of the last token read. */
  readonly logits: Float32Array;
  /** Tokens of the prompt. */
  readonly prompt: readonly number[];
}

/**
 * Checks the options of a generation before any work is done for it.
 *
 * @throws {PromptError} If one is out of range.
 */
export function checkGenerateOptions(options: GenerateOptions): void {
  const { maxTokens = DEFAULT_MAX_TOKENS } = options;
  if (!Number.isInteger(maxTokens) || maxTokens < 1) {
    throw new PromptError(
      `Cannot generate: maxTokens must be an integer of at least 1, got ${maxTokens}`,
    );
  }
  createSampler(options);
}

const DEFAULT_MAX_TOKENS = 256;

/**
 * Generates an answer.
 *
 * @param begin Reads the prompt; runs when the iteration starts.
 * @param onStep Is told the milliseconds of each decoding step.
 */
export function createGeneration(
  begin: () => Promise<GenerationStart>,
  options: GenerateOptions,
  onStep: (run: () => Promise<Float32Array>) => Promise<Float32Array>,
): Generation {
  checkGenerateOptions(options);
  const ids: number[] = [];
  let text = "";
  let finishReason: FinishReason | undefined;
  let started = false;

  async function* pieces(): AsyncGenerator<string> {
    if (started) throw new PromptError("Cannot iterate over an answer twice: its text is kept");
    started = true;
    const decoding = decode(begin, options, onStep, ids);
    let stopped = false;
    try {
      for (;;) {
        const { value, done } = await decoding.next();
        if (done) {
          finishReason = value;
          return;
        }
        text += value;
        stopped = true;
        yield value;
        stopped = false;
      }
    } finally {
      // Whoever leaves the loop early ends the answer.
      if (stopped) finishReason = "abort";
    }
  }
  return {
    get ids() {
      return ids;
    },
    get text() {
      return text;
    },
    get finishReason() {
      return finishReason;
    },
    [Symbol.asyncIterator]: pieces,
  };
}

async function* decode(
  begin: () => Promise<GenerationStart>,
  options: GenerateOptions,
  onStep: (run: () => Promise<Float32Array>) => Promise<Float32Array>,
  ids: number[],
): AsyncGenerator<string, FinishReason> {
  const { maxTokens = DEFAULT_MAX_TOKENS, stop = [], signal } = options;
  let start: GenerationStart;
  try {
    start = await begin();
  } catch (error) {
    if (signal?.aborted) return "abort";
    throw error;
  }
  const { engine, sequence, tokenizer, prompt } = start;
  const sampler = createSampler(options);
  const seen = new Set(prompt);
  const stream = tokenizer.stream({ skipSpecial: true });
  const stopText = createStopText(stop);
  const endIds = new Set([...engine.config.eosIds, ...tokenizer.eosIds]);
  let { logits } = start;
  for (;;) {
    const id = sampler.next(logits, seen);
    if (endIds.has(id)) break;
    ids.push(id);
    seen.add(id);
    const piece = stopText.push(stream.push(id));
    if (piece.text !== "") yield piece.text;
    if (piece.stopped) return "stop";
    const full = ids.length >= maxTokens || sequence.position >= engine.config.context;
    await pause();
    if (full || signal?.aborted) {
      const rest = stopText.push(stream.flush()).text + stopText.flush();
      if (rest !== "") yield rest;
      return full ? "length" : "abort";
    }
    logits = await onStep(async () => (await engine.advance(sequence, { ids: [id] })).logits);
  }
  const rest = stopText.push(stream.flush()).text + stopText.flush();
  if (rest !== "") yield rest;
  return "stop";
}
