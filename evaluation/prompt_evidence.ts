import type { Evidence, ModelFacts, Policy } from "../policies/policy.ts";
import type { Engine, Gathered } from "../runtime/engine/engine.ts";
import { prefill } from "../runtime/engine/prefill.ts";
import {
  emptySequence,
  markSequence,
  rollbackSequence,
  type Sequence,
} from "../runtime/engine/sequence.ts";
import { sumsToCarry } from "../runtime/evidence/accumulated.ts";
import { greedyAnswer } from "../runtime/evidence/greedy.ts";
import { observePrompt } from "../runtime/evidence/observe.ts";
import { applyKept } from "../runtime/evict/apply.ts";
import type { Budget } from "../runtime/evict/budget.ts";
import { chooseKept, type KeptTokens } from "../runtime/evict/choose.ts";
import { answerEvicting } from "../runtime/evict/decoding.ts";
import { policiesOf, roundsOf } from "../runtime/evict/rounds.ts";
import { createEvidencePool } from "./evidence_pool.ts";

/** What {@linkcode readEvidence} reads, and for whom. */
export interface EvidenceReading {
  readonly engine: Engine;
  readonly facts: ModelFacts;
  /** Token ids of the prompt. */
  readonly ids: readonly number[];
  /** Every policy that will be asked what it keeps. */
  readonly policies: readonly Policy[];
  /** Most tokens of the model's own greedy answer. */
  readonly answerTokens: number;
  /** A known answer, which then stands for the model's own everywhere. */
  readonly answer?: readonly number[];
  /**
   * Tokens that follow the prompt and are not evicted, such as a question that comes when the prompt
   * was read: no policy judges by them but the one that knows the answer.
   */
  readonly then?: readonly number[];
  /** Prompt tokens read at a time. @default {256} */
  readonly chunk?: number;
  /** Milliseconds, to measure phases with. @default {performance.now} */
  readonly now?: () => number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * One prompt, read once with its whole cache kept, and the evidence of several policies. Owns its
 * cache.
 */
export interface PromptEvidence extends Disposable {
  /** Tokens of the prompt. */
  readonly tokens: number;
  /** The greedy answer with the whole cache, the token that ended it included, or the known one. */
  readonly answer: readonly number[];
  /** Bytes of the whole cache that are allocated. */
  readonly bytes: number;
  /** Milliseconds of reading and of decoding the answer. */
  readonly times: { readonly prefill: number; readonly answer: number };
  /** Attention of the answer's queries, `[heads × tokens]` per layer. */
  readonly answerAttention: readonly Float32Array[];
  /**
   * Attention that a policy judges by, `[heads × tokens]` per layer; absent where it needs none, or
   * where it depends on the budget.
   */
  attention(policy: Policy): readonly Float32Array[] | undefined;
  /** What a policy keeps at a budget, `[layer][KV head]`. Changes nothing. */
  keep(policy: Policy, budget: Budget): Promise<KeptTokens>;
  /** Milliseconds that gathering a policy's evidence took, where it does not depend on the budget. */
  evidenceTime(policy: Policy): number;
  /** Logits of the prompt's last token. */
  readonly logits: Float32Array;
  /**
   * The greedy answer when only some tokens are kept. The whole cache stays as it is.
   *
   * @param by What evicted: if it wants to, it rerotates keys, and evicts while the answer is written.
   */
  answerFrom(
    kept: KeptTokens,
    tokens: number,
    by?: EvictedBy,
  ): Promise<EvictedWork<readonly number[]>>;
  /**
   * Does something with a copy of the cache that holds only what is kept, or everything.
   *
   * @param kept What is kept; everything if absent.
   * @param by What evicted, if it rerotates keys.
   */
  workFrom<T>(
    kept: KeptTokens | undefined,
    work: (sequence: Sequence) => Promise<T>,
    by?: Pick<EvictedBy, "policy">,
  ): Promise<EvictedWork<T>>;
}

/** What evicted. */
export interface EvictedBy {
  readonly policy: Policy;
  readonly budget: Budget;
}

/** What was made of what was kept. */
export interface EvictedWork<T> {
  readonly result: T;
  /** Bytes of the cache that were allocated after the eviction. */
  readonly bytes: number;
  /** Milliseconds of dropping the rest, and of the work. */
  readonly times: { readonly compact: number; readonly work: number };
}

const CHUNK = 256;

/**
 * Reads a prompt once for several policies: one reading observes every window that they need, one
 * greedy answer is decoded, and what judges alike (soft tokens, answers) is probed once. What is kept
 * is chosen and applied by the runtime, as in a session.
 *
 * @throws {PolicyError} If a policy breaks its contract.
 * @throws {CheckpointError} If soft tokens do not fit the model.
 */
export async function readEvidence(request: EvidenceReading): Promise<PromptEvidence> {
  const { engine, facts, ids, policies, answerTokens, then = [], signal, onProgress } = request;
  const { chunk = CHUNK, now = () => performance.now() } = request;
  const { config } = engine;
  const { layers, heads, kvHeads, headDim } = config;
  using opening = new DisposableStack();
  const cache = opening.use(engine.newCache());
  const scope = opening.use(new DisposableStack());
  const sequence = emptySequence(cache);
  const wanted = policies.filter(({ evicts }) => evicts !== false).flatMap(policiesOf);
  const evidence = wanted.map((policy) => policy.evidence);
  const begun = now();
  const reading = { engine, sequence, ids, evidence, facts, chunk, scope, signal, onProgress };
  const observed = await observePrompt(reading);
  const read = now();
  const { bytes } = cache;

  /** Logits of the last token before the answer; what stands between is read first. */
  const logitsBefore = async (from: Sequence): Promise<Float32Array> => {
    if (then.length === 0) return observed.logits;
    return (await prefill(engine, from, then, { chunk, observe: "none", signal })).logits;
  };
  const decode = async (from: Sequence, steps: number): Promise<readonly number[]> => {
    const mark = markSequence(from);
    const logits = await logitsBefore(from);
    const found = await greedyAnswer({ engine, sequence: from, logits, steps, signal });
    rollbackSequence(from, mark);
    return found;
  };
  const first = request.answer ?? await decode(sequence, answerTokens);
  const answered = now();
  const steps = mostSteps(evidence, answerTokens);
  const more = !request.answer && first.length === answerTokens && steps > first.length;
  const answer = more ? await decode(sequence, steps) : first;
  const judged = answer.slice(0, answerTokens);

  const pool = createEvidencePool({ observed, facts, answer, then, now, signal });
  const known: Evidence = { kind: "given", queries: { kind: "tokens", ids: [...then, ...judged] } };
  const answerAttention = await floatsOf(await pool.gather(known));
  const byPolicy = new Map<Policy, Gathered>();
  const attention = new Map<Policy, readonly Float32Array[]>();
  for (const policy of wanted) {
    if (dependsOnBudget(policy)) continue;
    const gathered = await pool.gather(policy.evidence);
    byPolicy.set(policy, gathered);
    if (gathered.attention) attention.set(policy, await floatsOf(gathered));
  }

  const keep: PromptEvidence["keep"] = async (policy, budget) => {
    const held = new Array<number>(layers).fill(ids.length);
    const shape = { layers, kvHeads, headDim, numberBytes: engine.numberBytes };
    const rounds = await roundsOf(policy, { length: ids.length, budget, shape }, held);
    const gathered: Gathered[] = [];
    for (const round of rounds) {
      const { evidence } = round.policy;
      gathered.push(byPolicy.get(round.policy) ?? await pool.gather(evidence, round.keep));
    }
    return await chooseKept({ engine, sequence, rounds, gathered });
  };
  const workFrom: PromptEvidence["workFrom"] = async (kept, work, by) => {
    using fork = await cache.fork();
    const copy = { ...sequence, cache: fork };
    const started = now();
    if (kept) await applyKept(copy, kept, { config, positions: by?.policy.positions });
    const { bytes } = fork;
    const applied = now();
    const result = await work(copy);
    return { result, bytes, times: { compact: applied - started, work: now() - applied } };
  };
  const answerEvicted = async (
    from: Sequence,
    kept: KeptTokens,
    steps: number,
    { policy, budget }: EvictedBy,
  ): Promise<readonly number[]> => {
    const whole = kept.every((heads) => heads.every(({ length }) => length === ids.length));
    const judgedBy = whole ? undefined : byPolicy.get(policy)?.attention;
    return await answerEvicting({
      ...{ engine, sequence: from, policy, budget, facts, steps, chunk, now, signal },
      logits: await logitsBefore(from),
      ids: [...ids, ...then],
      tail: then.length + (whole ? ids.length : 0),
      earlier: await sumsToCarry(policy, judgedBy, kept, heads / kvHeads),
    });
  };
  const owned = opening.move();
  return {
    tokens: ids.length,
    answer: judged,
    bytes,
    times: { prefill: read - begun, answer: answered - read },
    answerAttention,
    attention: (policy) => attention.get(policy),
    evidenceTime: (policy) => pool.time(byPolicy.get(policy) ?? {}),
    logits: observed.logits,
    keep,
    workFrom,
    answerFrom: (kept, steps, by) =>
      workFrom(
        kept,
        (from) =>
          by?.policy.phases?.decoding ? answerEvicted(from, kept, steps, by) : decode(from, steps),
        by,
      ),
    [Symbol.dispose]: () => owned.dispose(),
  };
}

async function floatsOf({ attention = [] }: Gathered): Promise<readonly Float32Array[]> {
  const floats: Float32Array[] = [];
  for (const rows of attention) floats.push(await rows.floats());
  return floats;
}

/** Whether what a policy judges by depends on the budget. */
function dependsOnBudget({ evidence }: Policy): boolean {
  return evidence.kind === "lookahead";
}

/** Tokens of the longest answer that some evidence is made of. */
function mostSteps(evidence: readonly Evidence[], answerTokens: number): number {
  const steps = evidence.map((one) =>
    one.kind === "given" && one.queries.kind === "greedy" ? one.queries.steps : 0
  );
  return Math.max(answerTokens, ...steps);
}
