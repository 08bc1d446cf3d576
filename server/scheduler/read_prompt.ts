import { full } from "../../policies/full.ts";
import type { Policy } from "../../policies/policy.ts";
import { loadPolicy } from "../../plugins/load_policy.ts";
import type { CachePrecision } from "../../runtime/cache/narrow_rows.ts";
import { PromptError } from "../../runtime/errors.ts";
import type { TokenSpan } from "../../runtime/evict/pinned.ts";
import type { Reading } from "../../runtime/evict/read.ts";
import { createSession } from "../../runtime/session/open.ts";
import type { Session } from "../../runtime/session/session.ts";
import type { LoadedModel } from "./model_pool.ts";
import type { EvictionSettings, GenerationRequest } from "./request.ts";
import type { Lane } from "./shared_engine.ts";

/** A prompt that was read, and the session that holds it. */
export interface ReadPrompt {
  readonly session: Session;
  readonly reading: Reading;
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

/** How a prompt is read. */
export interface WholeReading {
  readonly loaded: LoadedModel;
  readonly lane: Lane;
  readonly policy: Policy | undefined;
  readonly cachePrecision: CachePrecision;
  /** The tokens of the system message, which are protected unless the request says otherwise. */
  readonly system: readonly TokenSpan[];
  readonly signal: AbortSignal;
  readonly reading: (done: number) => void;
  readonly now: () => number;
  /** Owns the session from the moment that there is one. */
  readonly own: (session: Session) => void;
}

/** Reads a prompt into a session of its own, and evicts. */
export async function readWhole(
  { eviction }: Pick<GenerationRequest, "eviction">,
  ids: readonly number[],
  { loaded, lane, policy = full(), cachePrecision, system, signal, reading, now, own }:
    WholeReading,
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
    cachePrecision,
    ...(eviction ? { budget: eviction.budget } : {}),
  });
  own(session);
  const given = eviction ? eviction.protect : undefined;
  const protect = given ?? system;
  const result = await session.read({ ids }, { protect, signal, onProgress: reading });
  lane.answers();
  return { session, reading: result };
}

/** Reads what follows a document behind it. */
export async function readBehind(
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
