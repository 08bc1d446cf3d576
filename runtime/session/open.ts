import { hostCacheOf } from "../cache/host_cache.ts";
import { PromptError } from "../errors.ts";
import { broughtSums } from "../evidence/accumulated.ts";
import {
  checkGenerateOptions,
  createGeneration,
  type GenerateOptions,
  type Generation,
  type GenerationSource,
  type GenerationStart,
} from "./generate.ts";
import { asMessages, type Prompt, promptIds } from "../tokenizer/prompt.ts";
import { saveCache } from "./saved/save.ts";
import { readSavedCache } from "./saved/file.ts";
import type { ReadOptions, Session, SessionOptions } from "./session.ts";
import { appendPrompt, pinTokens, takeUp, whatFollows } from "./append.ts";
import { checkPrompt } from "./check_prompt.ts";
import { checkAnswerOptions, checkReadOptions, checkSessionOptions, givenPrompt } from "./given.ts";
import { demandObject, demandText } from "../given.ts";
import { createMarks, type SessionMark } from "./marks.ts";
import { evictWhileWriting, readWhole } from "./read.ts";
import type { SessionContext, SessionModel } from "./context.ts";
import { readInPieces } from "./pieces.ts";
import { makeRoom, noRoom, requireRoom } from "./room.ts";
import { beginAnswer } from "./return_points.ts";
import { emptyState, forkState, freeCache, type State } from "./state.ts";
import { forkTally, newTally, noteUnseenQuestion, type Tally } from "./tally.ts";
import { statsOf } from "./stats.ts";
import { sessionSettings } from "./settings.ts";
import { transcriptOf } from "./transcript.ts";
import { createExclusive, type ExclusiveTask } from "./exclusive.ts";

type AnswerOptions = GenerateOptions & ReadOptions;

/**
 * Opens a session on a model.
 *
 * @throws {BudgetError} If the budget is out of range.
 * @throws {PromptError} If the chunk size is.
 */
export function createSession(model: SessionModel, options: SessionOptions): Session {
  return openSession(
    model,
    sessionSettings(options, model.engine),
    emptyState(model.engine),
    newTally(),
  );
}

function openSession(
  model: SessionModel,
  options: Required<SessionOptions>,
  state: State,
  tally: Tally,
): Session {
  const { engine, tokenizer, now } = model;
  const exclusive = createExclusive();
  const marks = createMarks();
  let closed = false;
  /** Where an unfinished question is rolled back to. */
  let asked: SessionMark | undefined;

  const context = (): SessionContext => ({ model, options, state, tally, marks });
  const firstReading = ({ inPieces }: ReadOptions) => ({
    inPieces: inPieces === true || options.policy.phases?.reading !== undefined,
    evicts: options.policy.evicts !== false,
  });
  const within = <O extends ReadOptions>(task: ExclusiveTask, given: O): O => ({
    ...given,
    signal: given.signal ? AbortSignal.any([given.signal, task.signal]) : task.signal,
  });
  const endQuestion = () => {
    if (!asked) return;
    marks.restore(asked, state);
    asked[Symbol.dispose]();
    asked = undefined;
  };
  /** Rounds the cache as the options want it: nothing works with it for now. */
  const rest = () => {
    const { cachePrecision } = options;
    if (cachePrecision === "fp32") return;
    state.sequence.cache.rest(cachePrecision);
    marks.rest(cachePrecision);
  };
  /** Puts another state in the place of what was read, and frees that. */
  const replaceState = (next: State) => {
    asked = undefined;
    marks.clear();
    freeCache(state);
    state = next;
    tally = newTally();
  };
  /** Reads a prompt in place of what was read before. */
  const readFirst = async (prompt: Prompt, ids: readonly number[], given: ReadOptions) => {
    replaceState(emptyState(engine));
    state.transcript = transcriptOf(prompt);
    try {
      pinTokens(context(), ids, given.protect);
      const reading = await readInPieces(context(), ids, given);
      rest();
      if (state.transcript.kind === "document") noteUnseenQuestion(state.outcome, tally);
      return reading;
    } catch (error) {
      replaceState(emptyState(engine));
      throw error;
    }
  };
  const start = (): GenerationStart => {
    const { logits, ids, pending } = state;
    if (!logits) throw new PromptError("Cannot answer: nothing was read; read a prompt first");
    if (state.answer === undefined && state.transcript.kind !== "raw") beginAnswer(state);
    const goesOn = (state.answer ?? "") !== "";
    const seen = [...ids, ...pending];
    state.answer ??= "";
    return {
      logits,
      seen,
      endIds: new Set([...engine.config.eosIds, ...tokenizer.eosIds]),
      stream: tokenizer.stream({ skipSpecial: true, after: seen, goesOn }),
    };
  };
  /** Counts what was pending as read. */
  const wrote = (begun: number, logits: Float32Array | undefined): void => {
    for (const id of state.pending) state.ids.push(id);
    state.tail += state.pending.length;
    state.pending = [];
    state.logits = logits;
    tally.times.decode += now() - begun;
    tally.steps++;
  };
  /** What makes the tokens of an answer to what `prepare` reads when it begins. */
  const writing = (
    action: string,
    given: ReadOptions,
    prepare: (within: ReadOptions) => Promise<unknown>,
    finish?: () => void,
  ): GenerationSource => {
    let task: ExclusiveTask | undefined;
    const current = (): ExclusiveTask => task ??= exclusive.begin(action);
    return {
      begin: () =>
        current().run(async () => {
          endQuestion();
          await prepare(within(current(), given));
          return start();
        }),
      sampled: (id) => state.pending = [id],
      said: (text) => state.answer = (state.answer ?? "") + text,
      async hasRoom() {
        if (state.sequence.position < engine.config.context) return true;
        const reason = await current().run(() => makeRoom(context(), state.pending.length));
        if (reason !== undefined) {
          tally.notes.add(`an answer ended where the model's context was full: ${reason}`);
        }
        return reason === undefined;
      },
      advance: () =>
        current().run(async () => {
          const begun = now();
          const { logits } = await engine.advance(state.sequence, { ids: state.pending });
          wrote(begun, logits);
          await evictWhileWriting(context());
          return state.logits ?? logits;
        }),
      draw: (drawing) =>
        current().run(async () => {
          const begun = now();
          const { pending: [id, ...more], sequence } = state;
          // An eviction would change the logits behind the token.
          const evicts = options.policy.phases?.decoding !== undefined;
          if (id === undefined || more.length > 0 || evicts) return undefined;
          const found = await engine.draw?.(sequence, id, drawing);
          if (found) wrote(begun, found.logits);
          return found;
        }),
      async end() {
        if (!task || task.signal.aborted) return;
        await task.run(() => {
          finish?.();
          rest();
          return Promise.resolve();
        });
      },
    };
  };
  const answer = (
    action: string,
    given: AnswerOptions,
    prepare: (within: ReadOptions) => Promise<unknown>,
    finish?: () => void,
  ): Generation => createGeneration(writing(action, given, prepare, finish), given);
  const prepareAnswer = async (readOptions: ReadOptions) => {
    if (state.transcript.kind === "document") {
      throw new PromptError(
        "Cannot answer a document without a question: ask one, or append it as a message",
      );
    }
    const { length: pending } = state.pending;
    if (pending === 0) return;
    const reason = await makeRoom(context(), pending);
    if (reason !== undefined) throw noRoom(context(), pending, state.ids.length, reason);
    await readWhole(context(), [], readOptions);
  };
  const answerPrompt = (prompt: Prompt, given: AnswerOptions): Generation => {
    checkAnswerOptions("answer", given);
    checkGenerateOptions(given);
    const ids = promptIds(prompt, tokenizer);
    checkPrompt(ids, engine, firstReading(given));
    return answer("read a prompt", given, (readOptions) => readFirst(prompt, ids, readOptions));
  };
  const answerQuestion = (question: string, given: AnswerOptions): Generation => {
    checkAnswerOptions("ask", given);
    return answer("answer a question", given, async (readOptions) => {
      const raw = state.transcript.kind === "raw";
      const prompt = raw ? { text: question } : { messages: [{ role: "user", content: question }] };
      const found = whatFollows(context(), prompt);
      asked = marks.take(state);
      takeUp(context(), found);
      await requireRoom(context(), state.pending.length + found.ids.length);
      await readWhole(context(), found.ids, readOptions);
      noteUnseenQuestion(state.outcome, tally);
    }, endQuestion);
  };
  const between = <T>(action: string, work: () => Promise<T>): Promise<T> =>
    exclusive.between(action, () => {
      if (!asked) return work();
      throw new PromptError(
        `Cannot ${action}: a question is being answered; finish its answer first, or leave it`,
      );
    });

  const session: Session = {
    get ids() {
      return [...state.ids, ...state.pending];
    },
    async read(givenFirst, given = {}) {
      const prompt = givenPrompt("read a prompt", givenFirst);
      checkReadOptions("read a prompt", given);
      const ids = promptIds(prompt, tokenizer);
      checkPrompt(ids, engine, firstReading(given));
      const task = exclusive.begin("read a prompt");
      return await task.run(() => readFirst(prompt, ids, within(task, given)));
    },
    async append(givenMore, given = {}) {
      const prompt = givenPrompt("append a prompt", givenMore);
      checkReadOptions("append a prompt", given);
      const task = exclusive.begin("append a prompt");
      return await task.run(async () => {
        endQuestion();
        try {
          return await appendPrompt(context(), prompt, within(task, given));
        } finally {
          rest();
        }
      });
    },
    generate(first: string | Prompt | AnswerOptions = {}, second: AnswerOptions = {}) {
      if (!isOptions(first)) return answerPrompt(givenPrompt("read a prompt", first), second);
      checkAnswerOptions("answer", first);
      return answer("answer", first, prepareAnswer);
    },
    write(given = {}) {
      checkReadOptions("answer", given);
      return writing("answer", given, prepareAnswer);
    },
    ask(text: string, second: string | AnswerOptions = {}, given: AnswerOptions = {}) {
      demandText("ask", "a question", text);
      if (typeof second !== "string") return answerQuestion(text, second);
      return answerPrompt({ messages: asMessages({ document: text }, second) }, given);
    },
    mark: () => between("take a mark", () => Promise.resolve(marks.take(state))),
    async rollback(mark) {
      await exclusive.begin("roll back").run(() => {
        endQuestion();
        marks.restore(mark, state);
        rest();
        return Promise.resolve();
      });
    },
    fork: (given = {}) =>
      between("fork", async () => {
        demandObject("fork", "its options", given);
        const { engine: own = engine, ...changes } = given;
        const forked = sessionSettings({ ...options, ...changes }, own);
        const copied = await forkState(state);
        return openSession({ ...model, engine: own }, forked, copied, forkTally(tally));
      }),
    configure(changes) {
      checkSessionOptions("configure a session", changes);
      options = sessionSettings({ ...options, ...changes }, engine);
    },
    save: (path) =>
      between("save", async () => {
        demandText("save", "the path", path);
        const { fingerprint } = await model.facts();
        const { name } = model;
        const { policy, budget, cachePrecision } = options;
        const origin = { name, fingerprint, policy, budget, cachePrecision };
        const saved = await saveCache(path, state, origin);
        rest();
        return saved;
      }),
    async load(path) {
      demandText("load a saved cache", "the path", path);
      return await exclusive.begin("load a saved cache").run(async () => {
        endQuestion();
        const { fingerprint } = await model.facts();
        const { state: loaded, info } = readSavedCache(path, {
          config: engine.config,
          fingerprint,
        });
        const attentionSums = await broughtSums(loaded.attentionSums, engine);
        const cache = await engine.adopt(hostCacheOf(loaded.sequence.cache));
        replaceState({ ...loaded, sequence: { ...loaded.sequence, cache }, attentionSums });
        rest();
        return info;
      });
    },
    stats: () => statsOf(options.policy, state, tally, closed ? undefined : marks.bytes),
    async [Symbol.asyncDispose]() {
      if (closed) return;
      await exclusive.close();
      closed = true;
      // The memory of a session: the copies that marks keep, and its cache.
      marks[Symbol.dispose]();
      freeCache(state);
    },
  };
  return session;
}

/** Whether something is options and no prompt, or neither: then it is taken for a prompt that is wrong. */
function isOptions(given: string | Prompt | AnswerOptions): given is AnswerOptions {
  return typeof given === "object" && given !== null && !Array.isArray(given) &&
    !["messages", "text", "ids", "document"].some((name) => name in given);
}
