import type { DrawnStep } from "../engine/engine.ts";
import { pause } from "../engine/pause.ts";
import { PromptError } from "../errors.ts";
import type { Constraint } from "../sampling/constraint.ts";
import type { Drawing } from "../sampling/drawing.ts";
import { createSampler, type SamplingOptions } from "../sampling/sampler.ts";
import { createStopText } from "../sampling/stop_text.ts";
import type { TextStream } from "../tokenizer/tokenizer.ts";

/** How an answer is made. */
export interface GenerateOptions extends SamplingOptions {
  /** Tokens of the answer, at most. @default {256} */
  readonly maxTokens?: number;
  /** Texts that end the answer; they are not part of it. */
  readonly stop?: readonly string[];
  /** What the answer may be; it takes each token, so that the next answer needs another one. */
  readonly constraint?: Constraint;
  /** Ends the answer early; what was made stays. */
  readonly signal?: AbortSignal;
}

/**
 * Why an answer ended: a stop token or text, `maxTokens` or the end of the context, or its
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
  /** Logits of the last token read. */
  readonly logits: Float32Array;
  /** Tokens before the answer. */
  readonly seen: readonly number[];
  /** Ids that end the answer. */
  readonly endIds: ReadonlySet<number>;
  /** Decodes the answer. */
  readonly stream: TextStream;
}

/** What makes a generation's tokens. */
export interface GenerationSource {
  /** Gets ready for the first token; runs when the iteration starts. */
  begin(): Promise<GenerationStart>;
  /** Takes each token of the answer. */
  sampled(id: number): void;
  /** Takes each piece of the answer's text before it is shown. */
  said(text: string): void;
  /** Whether the last token that was sampled can be read; may make room for it. */
  hasRoom(): boolean | Promise<boolean>;
  /** Reads the last token that was sampled and gives the logits of the next. */
  advance(): Promise<Float32Array>;
  /**
   * As {@linkcode GenerationSource.advance}, and draws the next token where the logits are. `undefined`, and
   * nothing is read, where that cannot be.
   */
  draw?(drawing: Drawing): Promise<DrawnStep | undefined>;
  /** Runs when the answer has ended, however it did. */
  end?(): Promise<void>;
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
      `Cannot generate: 'maxTokens' must be an integer of at least 1, got ${maxTokens}`,
      { options: ["maxTokens"] },
    );
  }
  createSampler(options);
}

/** A step without an id has logits. */
const NO_LOGITS = new Float32Array(0);

/** Tokens of an answer at most, unless the options say otherwise. */
export const DEFAULT_MAX_TOKENS = 256;

/** Generates an answer. Nothing happens until it is iterated over. */
export function createGeneration(source: GenerationSource, options: GenerateOptions): Generation {
  checkGenerateOptions(options);
  const ids: number[] = [];
  let text = "";
  let finishReason: FinishReason | undefined;
  let started = false;

  async function* pieces(): AsyncGenerator<string> {
    if (started) throw new PromptError("Cannot iterate over an answer twice: its text is kept");
    started = true;
    const decoding = decode(source, options, ids);
    let stopped = false;
    try {
      for (;;) {
        const { value, done } = await decoding.next();
        if (done) {
          finishReason = value;
          return;
        }
        text += value;
        source.said(value);
        stopped = true;
        yield value;
        stopped = false;
      }
    } finally {
      // Whoever leaves the loop early ends the answer.
      if (stopped) finishReason = "abort";
      await source.end?.();
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
  source: GenerationSource,
  options: GenerateOptions,
  ids: number[],
): AsyncGenerator<string, FinishReason> {
  const { maxTokens = DEFAULT_MAX_TOKENS, stop = [], signal, constraint } = options;
  let start: GenerationStart;
  try {
    start = await source.begin();
  } catch (error) {
    if (signal?.aborted) return "abort";
    throw error;
  }
  const { stream, endIds } = start;
  const sampler = createSampler(options);
  const seen = new Set(start.seen);
  const stopText = createStopText(stop);
  // What a constraint allows is known in main memory alone.
  const drawing = constraint ? undefined : sampler.drawing(seen, endIds);
  const advance = async (): Promise<DrawnStep> =>
    (drawing && await source.draw?.(drawing)) ?? { logits: await source.advance() };
  let next: DrawnStep = start;
  for (;;) {
    const id = next.id ?? sampler.next(next.logits ?? NO_LOGITS, seen, constraint?.mask());
    constraint?.accept(id);
    if (endIds.has(id)) break;
    ids.push(id);
    source.sampled(id);
    seen.add(id);
    const piece = stopText.push(stream.push(id));
    if (piece.text !== "") yield piece.text;
    if (piece.stopped) return "stop";
    if (constraint?.done) break;
    const full = ids.length >= maxTokens || !(await source.hasRoom());
    await pause();
    if (full || signal?.aborted) {
      const rest = stopText.push(stream.flush()).text + stopText.flush();
      if (rest !== "") yield rest;
      return full ? "length" : "abort";
    }
    next = await advance();
  }
  const rest = stopText.push(stream.flush()).text + stopText.flush();
  if (rest !== "") yield rest;
  return "stop";
}
