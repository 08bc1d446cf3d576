import { bytesPerToken } from "../../runtime/cache/bytes_per_token.ts";
import { cacheShapeOf } from "../../runtime/engine/engine.ts";
import type { Session } from "../../runtime/session/session.ts";
import { type PromptDocument, renderPrompt } from "../prompt/render_prompt.ts";
import { systemSpans } from "../prompt/system_span.ts";
import { checkRequest, constraintOf } from "./check_request.ts";
import { doneEvent } from "./done_event.ts";
import { createPromptLogprobs } from "./prompt_logprobs.ts";
import { policyOf, readBehind, type ReadPrompt, readWhole } from "./read_prompt.ts";
import type { GenerationRequest } from "./request.ts";
import type { Resources } from "./resources.ts";
import { stepCuts } from "./step_cuts.ts";
import { type Lane, laneOf } from "./shared_engine.ts";
import { untilAborted } from "./until_aborted.ts";
import { writeAnswer } from "./write_answer.ts";

/** Tokens of an answer that memory is set aside for. */
const ANSWER_ROOM = 256;

/** Runs a request from its first check to its last event. */
export async function runRequest(request: GenerationRequest, resources: Resources): Promise<void> {
  const { pool, admission, counted, makeRoom, now, signal, onEvent, running } = resources;
  const { cachePrecision } = resources;
  await using stack = new AsyncDisposableStack();
  const submitted = now();
  const use = pool.use(request.model);
  // Loading goes on where somebody leaves meanwhile.
  stack.defer(async () => (await use.catch(() => undefined))?.[Symbol.dispose]());
  const { loaded } = await untilAborted(use, signal);
  const { model, facts } = loaded;
  const documents = request.document === undefined ? undefined : await resources.documents;
  if (request.document !== undefined) await documents?.bring(request.document);
  const document = documents?.record(request.document ?? "");
  const ids = renderPrompt(request.prompt, model.tokenizer, document && promptDocument(document));
  checkRequest(request, ids, facts.context);
  const policy = document ? undefined : await policyOf(request.eviction || false, stack, signal);
  const constraint = await untilAborted(constraintOf(request, loaded), signal);
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
  const onCached = (tokens: number) => void (cached += tokens);
  const system = systemSpans(request.prompt, ids, model.tokenizer);
  const cuts = stepCuts(request.prompt, ids, { system, opening: loaded.opening });
  let read: ReadPrompt;
  const sessions: Session[] = [];
  const own = (session: Session) => void sessions.push(stack.use(session));
  const memory = { bytes: () => sessions.reduce((sum, one) => sum + one.stats().bytes.now, 0) };
  running.add(memory);
  stack.defer(() => void running.delete(memory));
  if (document && documents) {
    const { fingerprint } = facts;
    const { tokens } = document;
    cached = tokens;
    const laneBehind = (name: string) =>
      laneOf(model.engine, loaded.turns, loaded.prefixes, {
        ...{ behind: { name, tokens }, cuts, onCached },
      });
    let lane: Lane | undefined;
    const opened = await documents.open(
      document.id,
      { model: loaded.id, fingerprint },
      (name) => (lane = laneBehind(name)).engine,
    );
    own(opened.session);
    read = await readBehind(opened.session, ids, { signal, reading });
    lane?.answers();
  } else {
    const lane = laneOf(model.engine, loaded.turns, loaded.prefixes, {
      ...{ cuts, onCached },
      ...(logprobs ? { onLogits: logprobs.add } : {}),
    });
    read = await readWhole(request, ids, {
      ...{ loaded, lane, policy, cachePrecision, signal, reading, now, own, system },
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

function promptDocument({ text, system, form }: PromptDocument): PromptDocument {
  return { text, form, ...(system === undefined ? {} : { system }) };
}
