import { full } from "../../policies/full.ts";
import type { Policy } from "../../policies/policy.ts";
import { loadPolicy } from "../../plugins/load_policy.ts";
import { ConstraintError, PromptError } from "../../runtime/errors.ts";
import type { Constraint } from "../../runtime/sampling/constraint.ts";
import { checkBudget } from "../../runtime/evict/budget.ts";
import type { Reading } from "../../runtime/evict/read.ts";
import { bytesPerToken } from "../../runtime/cache/bytes_per_token.ts";
import { cacheShapeOf } from "../../runtime/engine/engine.ts";
import { createSession } from "../../runtime/session/open.ts";
import type { Session } from "../../runtime/session/session.ts";
import { checkGenerateOptions } from "../../runtime/session/generate.ts";
import { type PromptDocument, renderPrompt } from "../prompt/render_prompt.ts";
import { systemSpans } from "../prompt/system_span.ts";
import type { Documents } from "../documents/document_store.ts";
import type { Admission } from "./admission.ts";
import { ContextOverflowError, GrammarError } from "./errors.ts";
import type { DoneEvent, GenerationEvent } from "./events.ts";
import { keptTokens } from "./explain.ts";
import type { LoadedModel, ModelPool } from "./model_pool.ts";
import { createPromptLogprobs } from "./prompt_logprobs.ts";
import type { EvictionSettings, GenerationRequest } from "./request.ts";
import { type Lane, laneOf } from "./shared_engine.ts";
import { writeAnswer } from "./write_answer.ts";

/** A session that holds memory now. */
export interface RunningSession {
  readonly bytes: () => number;
}

/** What requests share. */
export interface SharedResources {
  readonly pool: ModelPool;
  readonly admission: Admission;
  readonly counted: {
    prefixQueries: number;
    prefixHits: number;
    promptTokens: number;
    generationTokens: number;
    evictions: number;
  };
  readonly running: Set<RunningSession>;
  /** Drops what is held for later, until so many bytes more fit. */
  readonly makeRoom: (bytes: number) => Promise<void>;
  readonly now: () => number;
}

/** What one request runs with. */
export interface Resources extends SharedResources {
  readonly documents: Promise<Documents>;
  readonly signal: AbortSignal;
  readonly onEvent: (event: GenerationEvent) => void;
}

/** Tokens of an answer that memory is set aside for. */
const ANSWER_ROOM = 256;

/** Runs a request from its first check to its last event. */
export async function runRequest(request: GenerationRequest, resources: Resources): Promise<void> {
  const { pool, admission, counted, makeRoom, now, signal, onEvent, running } = resources;
  await using stack = new AsyncDisposableStack();
  const submitted = now();
  const use = pool.use(request.model);
  // Loading goes on where somebody leaves meanwhile.
  stack.defer(async () => (await use.catch(() => undefined))?.[Symbol.dispose]());
  const { loaded } = await untilAborted(use, signal);
  const { model, facts } = loaded;
  const documents = request.document === undefined ? undefined : await resources.documents;
  const document = documents?.record(request.document ?? "");
  const ids = renderPrompt(request.prompt, model.tokenizer, document && promptDocument(document));
  checkRequest(request, ids, facts.context);
  const policy = document ? undefined : await policyOf(request.eviction || false, stack, signal);
  const constraint = constraintOf(request, loaded);
  const place = stack.use(admission.queue(request.choices ?? 1));
  onEvent({ kind: "accepted", promptTokens: ids.length });
  await untilAborted(place.turn, signal);
  const started = now();
  const shape = cacheShapeOf(model.engine);
  await makeRoom((ids.length + (request.choices ?? 1) * ANSWER_ROOM) * bytesPerToken(shape));

  let cached = 0;
  const reading = (done: number) => onEvent({ kind: "reading", done, total: ids.length, cached });
  const logprobs = request.promptLogprobs
    ? createPromptLogprobs(model.tokenizer, request.logprobs ?? 0)
    : undefined;
  let read: ReadPrompt;
  const sessions: Session[] = [];
  const own = (session: Session) => void sessions.push(stack.use(session));
  const memory = { bytes: () => sessions.reduce((sum, one) => sum + one.stats().bytes.now, 0) };
  running.add(memory);
  stack.defer(() => void running.delete(memory));
  if (document && documents) {
    const { fingerprint } = facts;
    const opened = await documents.open(document.id, { model: loaded.id, fingerprint });
    own(opened.session);
    cached = document.tokens;
    read = await readBehind(opened.session, ids, { signal, reading });
  } else {
    const lane = laneOf(model.engine, loaded.turns, loaded.prefixes, {
      onCached: (tokens) => void (cached += tokens),
      ...(logprobs ? { onLogits: logprobs.add } : {}),
    });
    read = await readWhole(request, ids, {
      ...{ loaded, lane, policy, signal, reading, now, own },
    });
  }
  const { session } = read;
  await makeRoom(0);
  counted.prefixQueries += ids.length;
  counted.prefixHits += cached;
  counted.promptTokens += ids.length;
  const prompt = session.stats();
  if (prompt.bytes.after < prompt.bytes.before) counted.evictions++;
  if (logprobs) onEvent({ kind: "prompt", tokens: logprobs.tokens });
  const written = now();
  for (let choice = 1; choice < (request.choices ?? 1); choice++) {
    own(await session.fork());
  }
  const ended = new AbortController();
  const answering = AbortSignal.any([signal, ended.signal]);
  const answers = await Promise.allSettled(sessions.map(async (one, choice) => {
    using _writer = loaded.turns.writer();
    try {
      const { tokenizer } = model;
      const source = one.write({ signal: answering });
      return await writeAnswer({
        ...{ request, choice, source, tokenizer, onEvent },
        constraint: constraint?.fork(),
        signal: answering,
      });
    } catch (error) {
      // The other answers are of no use then.
      ended.abort(error);
      throw error;
    }
  }));
  const drawn = answers.map((answer) => {
    if (answer.status === "rejected") throw answer.reason;
    return answer.value;
  });
  const completionTokens = drawn.reduce((sum, tokens) => sum + tokens, 0);
  counted.generationTokens += completionTokens;
  onEvent(doneEvent({
    ...{ request, ids, cached, completionTokens, sessions, model: loaded, read, policy },
    first: drawn[0] ?? 0,
    document: document?.policy,
    times: { queue: started - submitted, read: written - started, write: now() - written },
  }));
}

interface ReadPrompt {
  readonly session: Session;
  readonly reading: Reading;
}

function promptDocument({ text, system, form }: PromptDocument): PromptDocument {
  return { text, form, ...(system === undefined ? {} : { system }) };
}

/** All that can be wrong with a request by itself. */
function checkRequest(
  request: GenerationRequest,
  ids: readonly number[],
  context: number,
): void {
  if (ids.length >= context) {
    throw new ContextOverflowError(
      `The prompt has ${ids.length} tokens, the model's context is ${context} and the answer needs ` +
        "at least one: give a shorter prompt",
      ids.length,
      context,
    );
  }
  const { temperature, topP, topK, minP, seed, repetitionPenalty } = request.sampling;
  checkGenerateOptions({
    temperature,
    seed,
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(minP === undefined ? {} : { minP }),
    ...(repetitionPenalty === undefined ? {} : { repetitionPenalty }),
  });
  if (request.eviction) checkBudget(request.eviction.budget);
  if (typeof request.eviction === "object") checkSpans(request.eviction.protect, ids.length);
}

function checkSpans(protect: EvictionSettings["protect"], tokens: number): void {
  if (typeof protect !== "object") return;
  const wrong = protect.find(({ from, to }) => from >= to || to > tokens || from < 0);
  if (!wrong) return;
  throw new PromptError(
    `Cannot protect tokens ${wrong.from} to ${wrong.to}: the prompt has tokens 0 to ${tokens}`,
  );
}

/** What the answers of a request may be. */
function constraintOf(
  { grammar }: GenerationRequest,
  { model }: LoadedModel,
): Constraint | undefined {
  if (!grammar) return undefined;
  try {
    return model.constraint(grammar);
  } catch (error) {
    if (error instanceof ConstraintError) throw new GrammarError(error.message, { cause: error });
    throw error;
  }
}

/** The policy of a request, for as long as the stack lives. */
export async function policyOf(
  eviction: EvictionSettings | false,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Policy> {
  if (eviction === false) return full();
  const loaded = stack.use(await loadPolicy(eviction.policy, { sandbox: true }));
  // Its process ends at once, so that nobody waits for what it computes.
  signal.addEventListener("abort", () => void loaded[Symbol.asyncDispose](), { once: true });
  signal.throwIfAborted();
  return loaded.policy;
}

/** Rejects at once when a signal aborts, whatever the promise does. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** How a prompt is read. */
export interface WholeReading {
  readonly loaded: LoadedModel;
  readonly lane: Lane;
  readonly policy: Policy | undefined;
  readonly signal: AbortSignal;
  readonly reading: (done: number) => void;
  readonly now: () => number;
  /** Owns the session from the moment that there is one. */
  readonly own: (session: Session) => void;
}

/** Reads a prompt into a session of its own, and evicts. */
export async function readWhole(
  { eviction, prompt }: Pick<GenerationRequest, "eviction" | "prompt">,
  ids: readonly number[],
  { loaded, lane, policy = full(), signal, reading, now, own }: WholeReading,
): Promise<ReadPrompt> {
  const { model } = loaded;
  const session = createSession({
    engine: lane.engine,
    tokenizer: model.tokenizer,
    facts: model.facts,
    now,
    name: loaded.id,
  }, {
    policy,
    beyondContext: "refuse",
    ...(eviction ? { budget: eviction.budget } : {}),
  });
  own(session);
  const given = eviction ? eviction.protect : undefined;
  const protect = given ?? systemSpans(prompt, ids, model.tokenizer);
  const result = await session.read({ ids }, { protect, signal, onProgress: reading });
  lane.answers();
  return { session, reading: result };
}

/** Reads what follows a document behind it. */
async function readBehind(
  session: Session,
  ids: readonly number[],
  { signal, reading }: {
    readonly signal: AbortSignal;
    readonly reading: (done: number) => void;
  },
): Promise<ReadPrompt> {
  const before = session.ids;
  const differs = before.findIndex((id, index) => ids[index] !== id);
  if (differs >= 0 || ids.length <= before.length) {
    throw new PromptError(
      "Cannot ask about the document: the model's template writes it otherwise in this chat " +
        `(from token ${Math.max(0, differs)} on); ask in a chat whose first message is a user's`,
    );
  }
  const rest = ids.slice(before.length);
  const onProgress = (done: number) => reading(before.length + done);
  return { session, reading: await session.append({ ids: rest }, { signal, onProgress }) };
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0) / Math.max(1, numbers.length);
}

function doneEvent(
  { request, ids, cached, completionTokens, sessions, model, read, policy, first, document, times }:
    {
      readonly request: GenerationRequest;
      readonly ids: readonly number[];
      readonly cached: number;
      readonly completionTokens: number;
      readonly sessions: readonly Session[];
      readonly model: LoadedModel;
      readonly read: ReadPrompt;
      readonly policy: Policy | undefined;
      readonly first: number;
      readonly document: string | undefined;
      readonly times: { readonly queue: number; readonly read: number; readonly write: number };
    },
): DoneEvent {
  const { kept, bytes, notes } = read.session.stats();
  // Not the session's sums: those of a document count its own reading.
  const { prefill, evidence, selection, compaction } = read.reading.times;
  return {
    kind: "done",
    usage: { promptTokens: ids.length, completionTokens, cachedTokens: cached },
    kvjudge: {
      policy: document ?? policy?.name ?? "full",
      kept: mean(kept.flat()),
      held: mean(sessions.flatMap((session) => session.stats().held)),
      bytesBefore: bytes.before,
      bytesAfter: bytes.after,
      times: { queue: times.queue, prefill, evidence, selection, compaction, decode: times.write },
      notes,
      ...(request.explain && document === undefined
        ? { tokens: keptTokens(model.model.tokenizer, ids, read.reading) }
        : {}),
    },
    timings: {
      cachedTokens: cached,
      promptTokens: ids.length - cached,
      promptMs: times.read,
      predictedTokens: first,
      predictedMs: times.write,
    },
  };
}
