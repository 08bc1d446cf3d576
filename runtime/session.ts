import type { ModelFacts, Policy } from "../policies/policy.ts";
import { type Budget, checkBudget } from "./budget.ts";
import { createHostCache } from "./cache/host_cache.ts";
import type { Engine, Sequence } from "./engine/engine.ts";
import { type Reading, readPrompt, type ReadTimes } from "./engine/read.ts";
import { PromptError } from "./errors.ts";
import {
  checkGenerateOptions,
  createGeneration,
  type GenerateOptions,
  type Generation,
  type GenerationStart,
} from "./generate.ts";
import { type Prompt, promptIds } from "./prompt.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

/** How a session reads and evicts. */
export interface SessionOptions {
  /** What decides which tokens are kept. */
  readonly policy: Policy;
  /** How much is kept. @default {512 tokens per KV head} */
  readonly budget?: Budget;
  /** Prompt tokens read at a time: bounds memory, never changes the result. @default {256} */
  readonly chunk?: number;
}

/** How a prompt is read. */
export interface ReadOptions {
  /** Ends reading early, with an `AbortError`. */
  readonly signal?: AbortSignal;
  /** Is told how many prompt tokens are read. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Also give the policy's scores. @default {false} */
  readonly scores?: boolean;
}

/** What a session did, in tokens, bytes and milliseconds. */
export interface SessionStats {
  /** Name of the policy. */
  readonly policy: string;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Kept tokens, `[layer][KV head]`. */
  readonly kept: readonly (readonly number[])[];
  /** Allocated bytes of the cache: after reading, after eviction, now. */
  readonly bytes: { readonly before: number; readonly after: number; readonly now: number };
  /** Milliseconds of each phase. */
  readonly times: ReadTimes & { readonly decode: number };
  /** Decoding steps: one fewer than the answer's tokens, as the prompt gives the first. */
  readonly steps: number;
  /** What a user may have expected otherwise, such as a budget above the prompt. */
  readonly notes: readonly string[];
}

/** A prompt read into a cache that was evicted, and the answers made from it. Owns its memory. */
export interface Session extends AsyncDisposable {
  /** Reads a prompt in place of what was read before, and evicts. */
  read(prompt: Prompt, options?: ReadOptions): Promise<Reading>;
  /** Reads a prompt and answers it. Nothing happens until the answer is iterated over. */
  generate(prompt: Prompt, options?: GenerateOptions & ReadOptions): Generation;
  /** Asks a question about a document: one user message, the question last. */
  ask(document: string, question: string, options?: GenerateOptions & ReadOptions): Generation;
  /** What was done since the last prompt was read. */
  stats(): SessionStats;
}

/** What a session needs of its model. */
export interface SessionModel {
  readonly engine: Engine;
  readonly tokenizer: Tokenizer;
  readonly facts: () => Promise<ModelFacts>;
  /** Milliseconds, to measure phases with. */
  readonly now: () => number;
}

const DEFAULT_BUDGET: Budget = { tokens: 512 };
const DEFAULT_CHUNK = 256;
const NO_TIMES: ReadTimes = { prefill: 0, evidence: 0, selection: 0, compaction: 0 };

/**
 * Opens a session on a model.
 *
 * @throws {BudgetError} If the budget is out of range.
 * @throws {PromptError} If the chunk size is.
 */
export function createSession(model: SessionModel, options: SessionOptions): Session {
  const { policy, budget = DEFAULT_BUDGET, chunk = DEFAULT_CHUNK } = options;
  checkBudget(budget);
  if (!Number.isInteger(chunk) || chunk < 1) {
    throw new PromptError(
      `Cannot read prompts in chunks: chunk must be an integer of at least 1, got ${chunk}`,
    );
  }
  const { engine, tokenizer, now } = model;
  let sequence = emptySequence(engine);
  let reading: Reading | undefined;
  let decode = 0;
  let steps = 0;
  let closed = false;

  /** Throws if a sequence is no longer the session's. */
  const checkCurrent = (own: Sequence): void => {
    if (closed) throw new PromptError("Cannot go on: the session is closed; open another one");
    if (own === sequence) return;
    throw new PromptError(
      "Cannot go on: the session has begun to read another prompt; use one session for each answer " +
        "that is made at the same time",
    );
  };
  const read = async (ids: readonly number[], readOptions: ReadOptions): Promise<Reading> => {
    if (closed) {
      throw new PromptError("Cannot read a prompt: the session is closed; open another one");
    }
    checkLength(ids, engine);
    sequence.cache[Symbol.dispose]();
    const own = sequence = emptySequence(engine);
    [reading, decode, steps] = [undefined, 0, 0];
    const { scores = false } = readOptions;
    try {
      const facts = await model.facts();
      const request = { engine, sequence: own, ids, policy, budget, facts, chunk, scores, now };
      const done = await readPrompt({ ...request, ...readOptions, scores });
      checkCurrent(own);
      return reading = done;
    } catch (error) {
      own.cache[Symbol.dispose]();
      checkCurrent(own);
      throw error;
    }
  };
  const timed = async (
    own: Sequence,
    run: () => Promise<Float32Array>,
  ): Promise<Float32Array> => {
    checkCurrent(own);
    const start = now();
    const logits = await run();
    decode += now() - start;
    steps++;
    return logits;
  };
  const session: Session = {
    read: async (prompt, options = {}) => await read(promptIds(prompt, tokenizer), options),
    generate(prompt, options = {}) {
      checkGenerateOptions(options);
      const ids = promptIds(prompt, tokenizer);
      checkLength(ids, engine);
      let own: Sequence;
      const begin = async (): Promise<GenerationStart> => {
        const { logits } = await read(ids, options);
        own = sequence;
        return { engine, sequence, tokenizer, logits, prompt: ids };
      };
      return createGeneration(begin, options, (run) => timed(own, run));
    },
    ask(document, question, options) {
      const content = `${document.trimEnd()}\n\n${question}`;
      return session.generate({ messages: [{ role: "user", content }] }, options);
    },
    stats: () => ({
      policy: policy.name,
      promptTokens: reading?.tokens ?? 0,
      kept: reading?.kept.map((heads) => heads.map(({ length }) => length)) ?? [],
      bytes: {
        before: reading?.bytes.before ?? 0,
        after: reading?.bytes.after ?? 0,
        now: closed ? 0 : sequence.cache.bytes,
      },
      times: { ...(reading?.times ?? NO_TIMES), decode },
      steps,
      notes: notesOn(reading, policy),
    }),
    [Symbol.asyncDispose]: () => {
      closed = true;
      sequence.cache[Symbol.dispose]();
      return Promise.resolve();
    },
  };
  return session;
}

function emptySequence({ config: { layers, kvHeads, headDim } }: Engine): Sequence {
  return {
    cache: createHostCache({ layers, kvHeads, headDim, capacity: 0 }),
    position: 0,
    planned: 0,
  };
}

function checkLength(ids: readonly number[], { config: { context, vocabulary } }: Engine): void {
  if (ids.length === 0) throw new PromptError("Cannot read an empty prompt: give some text");
  if (ids.length >= context) {
    throw new PromptError(
      `Cannot read a prompt of ${ids.length} tokens: the model's context is ${context} tokens and ` +
        "the answer needs at least one; shorten the prompt or use a model with a longer context",
    );
  }
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
  if (wrong !== undefined) {
    throw new PromptError(
      `Cannot read token id ${wrong}: ids must be integers from 0 to ${vocabulary - 1}`,
    );
  }
}

function notesOn(reading: Reading | undefined, policy: Policy): string[] {
  if (!reading || policy.evicts === false) return [];
  const notes: string[] = [];
  if (reading.kept.every((heads) => heads[0]?.length === reading.tokens)) {
    notes.push(`nothing was evicted: the budget covers the prompt's ${reading.tokens} tokens`);
  }
  const { softTokens } = reading;
  if (softTokens?.trained === false) {
    const { note } = softTokens;
    notes.push(`${policy.name} ran with untrained soft tokens${note ? `: ${note}` : ""}`);
  }
  return notes;
}
