import type { Policy } from "../../policies/policy.ts";
import type { Engine } from "../engine/engine.ts";
import type { Budget } from "../evict/budget.ts";
import type { CachePrecision } from "../cache/narrow_rows.ts";
import type { Reading } from "../evict/read.ts";
import type { TokenSpan } from "../evict/pinned.ts";
import type { GenerateOptions, Generation, GenerationSource } from "./generate.ts";
import type { Prompt } from "../tokenizer/prompt.ts";
import type { SavedCacheInfo } from "./saved/info.ts";
import type { SessionMark } from "./marks.ts";
import type { SessionStats } from "./stats.ts";

/** How a session reads and evicts. */
export interface SessionOptions {
  /** What decides which tokens are kept. @default {everything is kept} */
  readonly policy?: Policy;
  /** How much is kept. @default {512 tokens per KV head} */
  readonly budget?: Budget;
  /**
   * Prompt tokens read at a time: bounds memory, never changes the result.
   *
   * @default {256, where weights lie once in main memory 64, 1024 on a device}
   */
  readonly chunk?: number;
  /**
   * What happens where the text passes the model's context: `"evict"` evicts what is held to the budget
   * and rerotates its keys to positions without gaps, so that a conversation has no end; `"refuse"` ends
   * an answer there, and refuses more text. Where a model's RoPE scaling changes with the length (dynamic,
   * LongRoPE), or the policy evicts nothing of layers that do not slide, it is always refused.
   *
   * @default {"evict"}
   */
  readonly beyondContext?: "evict" | "refuse";
  /** Whether the tokens of a system message are never evicted. @default {true} */
  readonly protectSystem?: boolean;
  /**
   * How the cache is held while the session rests: rounded to 16-bit floats or 8-bit integers when
   * a text was read or an answer has ended, and written out as 32-bit floats when the next begins.
   * Saved caches are held so too. A device's caches have a precision of their own.
   *
   * @default {"fp32"}
   */
  readonly cachePrecision?: CachePrecision;
}

/** What a fork does otherwise. */
export interface ForkOptions extends Partial<SessionOptions> {
  /** Runs the copy's steps, with the same weights: the engine of a request among others, for one. */
  readonly engine?: Engine;
}

/** How a prompt is read. */
export interface ReadOptions {
  /** Ends reading early, with an `AbortError`. */
  readonly signal?: AbortSignal;
  /** Gets the number of prompt tokens that are read, and of all. */
  readonly onProgress?: (done: number, total: number) => void;
  /**
   * Tokens that no eviction takes from now on: all that is read, or spans counted in tokens of the
   * session, as in `session.ids`. They count towards the budget. @default {false}
   */
  readonly protect?: boolean | readonly TokenSpan[];
  /**
   * Read a first prompt that is longer than the model's context in pieces, with an eviction behind
   * each, instead of refusing it. What is appended is always read so. @default {false}
   */
  readonly inPieces?: boolean;
  /** Also give the policy's scores. @default {false} */
  readonly scores?: boolean;
}

/**
 * Text that was read into a cache, what was kept of it, and what follows it: more text, answers,
 * questions that leave no trace. Owns its memory.
 *
 * Where a prompt is read, a text by itself is a user's message. One thing happens at a time: whatever begins to read or answer ends what did so before.
 *
 * @example Ask about a document that is read once
 * ```ts
 * import { loadModel } from "../model.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * await using model = await loadModel(folder, { precision: "fp32" });
 * const newest = {
 *   name: "newest",
 *   evidence: { kind: "none" },
 *   score: ({ positions }: { positions: Int32Array }) => Float32Array.from(positions),
 * } as const;
 * await using session = model.session({ policy: newest, budget: 16 });
 * // This model has no tokenizer; with one, `{ document }` and a question as text.
 * await session.read({ ids: Array.from({ length: 40 }, (_, index) => index + 2) });
 * await using copy = await session.fork();
 * await copy.append({ ids: [7, 8, 9] });
 * assertEquals([session.ids.length, copy.ids.length], [40, 43]);
 * ```
 */
export interface Session extends AsyncDisposable {
  /** Tokens read and answered so far, in order, those that were evicted too. */
  readonly ids: readonly number[];
  /**
   * Reads a prompt in place of what was read before, and evicts.
   *
   * @throws {PromptError} If there is nothing to read, or more than the model's context holds.
   */
  read(prompt: string | Prompt, options?: ReadOptions): Promise<Reading>;
  /**
   * Reads more behind all that was read and answered; where the budget is passed, the policy judges
   * everything that is held again. Messages become the ids that the whole conversation, encoded at
   * once, would have. What passes the context is read in pieces. If it fails or is aborted, the session is as it was.
   *
   * @throws {PromptError} If the context is full and no room can be made, or such a prompt cannot
   * follow.
   */
  append(prompt: string | Prompt, options?: ReadOptions): Promise<Reading>;
  /** Reads a prompt and answers it. Nothing happens until the answer is iterated over. */
  generate(prompt: string | Prompt, options?: GenerateOptions & ReadOptions): Generation;
  /** Answers what was read, or goes on with an answer that ended early. */
  generate(options?: GenerateOptions & ReadOptions): Generation;
  /**
   * Answers what was read, token by token, for those who draw the tokens by themselves: what
   * `generate` is made of.
   */
  write(options?: ReadOptions): GenerationSource;
  /**
   * Asks a question about what was read, then rolls back to that: the next question finds what this
   * one found. After `read({ document })` the question ends the document's message, after messages it
   * is the next one, after text or ids it follows as it is. The question is not evicted.
   */
  ask(question: string, options?: GenerateOptions & ReadOptions): Generation;
  /**
   * Reads a document with a question below it, in place of what was read before, and answers: the
   * policy judges by the question. Read the document alone to ask several.
   */
  ask(document: string, question: string, options?: GenerateOptions & ReadOptions): Generation;
  /** Remembers this moment. It costs memory only if something is evicted later. */
  mark(): Promise<SessionMark>;
  /**
   * Goes back to a moment. Marks that were taken later are void then.
   *
   * @throws {PromptError} If the mark is not good any more, or not of this session.
   */
  rollback(mark: SessionMark): Promise<void>;
  /**
   * Makes a second session that goes on from here by itself; it copies the cache.
   *
   * @param options What it does otherwise from now on.
   * @throws {BudgetError} If the budget is out of range.
   */
  fork(options?: ForkOptions): Promise<Session>;
  /**
   * Changes how everything is read and evicted from now on; what is held stays as it is until then.
   *
   * @throws {BudgetError} If the budget is out of range.
   * @throws {PromptError} If the chunk size is.
   */
  configure(changes: Partial<SessionOptions>): void;
  /**
   * Writes what is kept to a file, whole or not at all: the entries of the cache, and all that is
   * needed to go on from here as if nothing had happened, the text included.
   *
   * @throws {PromptError} If nothing was read.
   * @throws {StorageError} If the file cannot be written.
   */
  save(path: string): Promise<SavedCacheInfo>;
  /**
   * Takes up what {@linkcode Session.save} wrote, in place of what was read before. The session's own
   * policy and budget decide about what is appended.
   *
   * @throws {SavedCacheError} If the file is damaged, or was saved with another model. What was read
   * before stays.
   */
  load(path: string): Promise<SavedCacheInfo>;
  /** What was done since a prompt was read or a cache loaded. */
  stats(): SessionStats;
}
