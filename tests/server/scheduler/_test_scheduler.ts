import type { LoadOptions, Model } from "../../../runtime/model.ts";
import { loadModel } from "../../../runtime/model.ts";
import {
  type ConstraintCompiler,
  createConstraintCompiler,
} from "../../../runtime/sampling/constraint.ts";
import type { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import { createBatchScheduler } from "../../../server/scheduler/batch_scheduler.ts";
import type { GenerationEvent } from "../../../server/scheduler/events.ts";
import type { SchedulerOptions } from "../../../server/scheduler/options.ts";
import type { GenerationRequest } from "../../../server/scheduler/request.ts";
import type { Scheduler } from "../../../server/scheduler/scheduler.ts";
import { fixture } from "../../_test_model.ts";
import { wordTokenizer } from "../../_word_tokenizer.ts";

/** A scheduler of a tiny model that reads words as tokens. */
export interface TestScheduler extends AsyncDisposable {
  readonly scheduler: Scheduler;
  readonly logged: string[];
}

/** Options for tests: a tiny model in bytes, so that sequences share steps. */
export function testOptions(options: Partial<SchedulerOptions> = {}): SchedulerOptions {
  return {
    models: [{ id: "tiny", source: fixture("tiny-qwen3") }],
    load: { precision: "int8", threads: 1 },
    eviction: false,
    parallel: 4,
    maxQueue: 64,
    cacheMemory: 2 ** 26,
    timeout: 60_000,
    now: () => performance.now(),
    log: () => {},
    ...options,
  };
}

/** Opens a model with another tokenizer than its own. */
function opener(tokenizerOf: (vocabulary: number) => Tokenizer) {
  return async (source: string, options: LoadOptions): Promise<Model> => {
    const model = await loadModel(source, options);
    const tokenizer = tokenizerOf(model.config.vocabulary);
    let made: ConstraintCompiler | undefined;
    const compiler = () => made ??= createConstraintCompiler(tokenizer, model.config.eosIds);
    return {
      ...model,
      tokenizer,
      constraint: (spec) => compiler().compile(spec),
      prepareConstraint: (spec, pause) => compiler().prepare(spec, pause),
    };
  };
}

/** Opens a model that reads words as tokens. */
export const openWords = opener(wordTokenizer);

/** Tokens 32 to 126 are characters, the others have no text. */
export function jsonTokenizer(vocabulary: number): Tokenizer {
  const text = (id: number) => id >= 32 && id < 127 ? String.fromCharCode(id) : "";
  return {
    ...wordTokenizer(vocabulary),
    tokenBytes: (id) => new TextEncoder().encode(text(id)),
    decode: (ids) => [...ids].map(text).join(""),
    stream: () => ({ push: text, flush: () => "" }),
  };
}

export async function testScheduler(
  options: Partial<SchedulerOptions> = {},
  tokenizerOf: (vocabulary: number) => Tokenizer = wordTokenizer,
): Promise<TestScheduler> {
  const logged: string[] = [];
  const scheduler = createBatchScheduler(
    testOptions({ log: (text) => void logged.push(text), ...options }),
    { open: opener(tokenizerOf) },
  );
  await scheduler.ready;
  return { scheduler, logged, [Symbol.asyncDispose]: () => scheduler.close() };
}

/** A request for ids. */
export function idsRequest(
  ids: readonly number[],
  changes: Partial<GenerationRequest> = {},
): GenerationRequest {
  return {
    prompt: { kind: "ids", ids },
    sampling: { temperature: 0, seed: 0 },
    maxTokens: 8,
    ...changes,
  };
}

/** Ids that look like a text. */
export function someIds(length: number, seed = 0, vocabulary = 80): number[] {
  return Array.from(
    { length },
    (_, at) => 2 + (at * at * 3 + at * 7 + seed * 13) % (vocabulary - 2),
  );
}

/** What came of a request. */
export interface Outcome {
  readonly events: readonly GenerationEvent[];
  /** Ids of each answer. */
  readonly answers: readonly (readonly number[])[];
  /** Texts of each answer. */
  readonly texts: readonly string[];
  readonly done: Extract<GenerationEvent, { kind: "done" }>;
}

export async function outcomeOf(
  scheduler: Scheduler,
  request: GenerationRequest,
): Promise<Outcome> {
  const events = await Array.fromAsync(scheduler.submit(request));
  const choices = request.choices ?? 1;
  const of = (choice: number) =>
    events.flatMap((event) => event.kind === "token" && event.choice === choice ? [event] : []);
  const done = events.at(-1);
  if (done?.kind !== "done") throw new Error("the last event is not 'done'");
  const all = Array.from({ length: choices }, (_, choice) => of(choice));
  return {
    events,
    answers: all.map((tokens) => tokens.map(({ id }) => id)),
    texts: all.map((tokens) => tokens.map(({ text }) => text).join("")),
    done,
  };
}
