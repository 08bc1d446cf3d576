import type { Evidence, ModelFacts, Policy, SoftTokens } from "../policies/policy.ts";
import type { Budget } from "../runtime/evict/budget.ts";
import { answerEvicting } from "../runtime/evict/decoding.ts";
import type { Engine } from "../runtime/engine/engine.ts";
import type { Sequence } from "../runtime/engine/sequence.ts";
import { type Gathered, gatherEvidence } from "../runtime/evidence/gather.ts";
import { greedyAnswer } from "../runtime/evidence/greedy.ts";
import { prefill } from "../runtime/engine/prefill.ts";
import { gatherPromptStatistics } from "../runtime/evidence/statistics.ts";
import { sumsOfKept } from "../runtime/evidence/accumulated.ts";
import { rerotateKeys } from "../runtime/rotary/rerotate.ts";
import { evictRounds, policiesOf, roundsOf } from "../runtime/evict/rounds.ts";
import { observationForAll } from "../runtime/evidence/observe.ts";
import { resolveSoftTokens } from "../runtime/soft_tokens/read.ts";

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
   * @param by What evicted: if it wants to, it evicts while the answer is written too.
   */
  answerFrom(
    kept: KeptTokens,
    tokens: number,
    by?: { readonly policy: Policy; readonly budget: Budget },
  ): Promise<EvictedWork<readonly number[]>>;
  /**
   * Does something with a copy of the cache that holds only what is kept, or everything.
   *
   * @param kept What is kept; everything if absent.
   */
  workFrom<T>(
    kept: KeptTokens | undefined,
    work: (sequence: Sequence) => Promise<T>,
  ): Promise<EvictedWork<T>>;
}

/** What is kept, `[layer][KV head]`. */
export type KeptTokens = readonly (readonly Int32Array[])[];

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
 * greedy answer is decoded, and what judges alike (soft tokens, answers) is probed once.
 *
 * @throws {PolicyError} If a policy breaks its contract.
 * @throws {CheckpointError} If soft tokens do not fit the model.
 */
export async function readEvidence(request: EvidenceReading): Promise<PromptEvidence> {
  const { engine, facts, ids, policies, then = [], signal, onProgress } = request;
  const { chunk = CHUNK, now = () => performance.now() } = request;
  const { layers, heads, kvHeads, headDim } = engine.config;
  const shape = { layers, kvHeads, headDim, numberBytes: engine.numberBytes };
  const cache = engine.newCache();
  const scope = new DisposableStack();
  const sequence: Sequence = { cache, position: 0, planned: 0 };
  const wanted = policies.filter(({ evicts }) => evicts !== false).flatMap(policiesOf);
  try {
    const statistics = gatherPromptStatistics(
      wanted.map(({ evidence }) => evidence),
      engine,
    );
    const begun = now();
    const prefilled = await prefill(engine, sequence, ids, {
      ...statistics,
      scope,
      chunk,
      observe: observationForAll(wanted),
      ...(signal ? { signal } : {}),
      ...(onProgress ? { onProgress } : {}),
    });
    const read = now();
    const { bytes } = cache;
    /** Logits of the last token before the answer; what stands between is read first. */
    const logitsBefore = async (from: Sequence): Promise<Float32Array> => {
      if (then.length === 0) return prefilled.logits;
      const options = { chunk, observe: "none" as const, ...(signal ? { signal } : {}) };
      return (await prefill(engine, from, then, options)).logits;
    };
    const decode = async (from: Sequence, steps: number): Promise<readonly number[]> => {
      const mark = from.cache.mark();
      const { position, planned } = from;
      const logits = await logitsBefore(from);
      const found = await greedyAnswer({
        ...{ engine, sequence: from, logits, steps },
        ...(signal ? { signal } : {}),
      });
      from.cache.rollback(mark);
      Object.assign(from, { position, planned });
      return found;
    };
    const first = request.answer ?? await decode(sequence, request.answerTokens);
    const answered = now();
    const steps = mostSteps(wanted, request.answerTokens);
    const more = !request.answer && first.length === request.answerTokens && steps > first.length;
    const answer = more ? await decode(sequence, steps) : first;
    const gathered = new Map<string, Gathered>();
    const gatherTimes = new Map<Gathered, number>();
    const judges: SoftTokens[] = [];
    const gather = async (evidence: Evidence, keep: readonly number[] = []): Promise<Gathered> => {
      const { key, settled } = await settle(evidence, { answer, then, facts, judges, keep });
      const known = gathered.get(key);
      if (known) return known;
      signal?.throwIfAborted();
      const started = now();
      const found = await gatherEvidence(settled, {
        ...{ engine, sequence, facts, prefilled, statistics, keep, scope },
      });
      gathered.set(key, found);
      gatherTimes.set(found, now() - started);
      return found;
    };
    const judged = answer.slice(0, request.answerTokens);
    const answerAttention = await floatsOf(
      await gather({ kind: "given", queries: { kind: "tokens", ids: [...then, ...judged] } }),
    );
    const byPolicy = new Map<Policy, Gathered>();
    for (const policy of wanted) {
      if (!ofBudget(policy)) byPolicy.set(policy, await gather(policy.evidence));
    }
    const attention = new Map<Policy, readonly Float32Array[]>();
    for (const [policy, found] of byPolicy) {
      if (found.attention) attention.set(policy, await floatsOf(found));
    }
    const workFrom: PromptEvidence["workFrom"] = async (kept, work) => {
      using fork = await cache.fork();
      const started = now();
      for (const [layer, heads] of kept?.entries() ?? []) await fork.compact(layer, heads);
      const { bytes } = fork;
      const compacted = now();
      const result = await work({ ...sequence, cache: fork });
      return {
        result,
        bytes,
        times: { compact: compacted - started, work: now() - compacted },
      };
    };
    return {
      tokens: ids.length,
      answer: judged,
      bytes,
      times: { prefill: read - begun, answer: answered - read },
      answerAttention,
      evidenceTime: (policy) => gatherTimes.get(byPolicy.get(policy) ?? NOTHING) ?? 0,
      attention: (policy) => attention.get(policy),
      async keep(policy, budget) {
        const held = new Array<number>(layers).fill(ids.length);
        const rounds = await roundsOf(policy, { length: ids.length, budget, shape }, held);
        const found: Gathered[] = [];
        for (const { policy, keep } of rounds) {
          found.push(byPolicy.get(policy) ?? await gather(policy.evidence, keep));
        }
        const kept: (readonly Int32Array[])[] = [];
        for (let layer = 0; layer < layers; layer++) {
          const views = (round: number) => engine.views(cache, layer, found[round] ?? NOTHING);
          kept.push(await evictRounds(rounds, layer, views));
        }
        return kept;
      },
      logits: prefilled.logits,
      workFrom,
      answerFrom: (kept, tokens, by) =>
        workFrom(kept, async (from) => {
          if (by?.policy.positions) await rerotateKeys(from, engine.config);
          if (!by?.policy.phases?.decoding) return await decode(from, tokens);
          const whole = kept.every((heads) => heads.every(({ length }) => length === ids.length));
          const earlier = by.policy.evidence.kind === "accumulated" && !whole
            ? attention.get(by.policy)
            : undefined;
          const lengths = kept.map((heads) => heads.map(() => ids.length));
          return await answerEvicting({
            ...{ engine, sequence: from, facts, chunk, now, steps: tokens, ...by },
            logits: await logitsBefore(from),
            ids: [...ids, ...then],
            tail: then.length + (whole ? ids.length : 0),
            ...(earlier ? { earlier: sumsOfKept(earlier, lengths, kept, heads / kvHeads) } : {}),
            ...(signal ? { signal } : {}),
          });
        }),
      [Symbol.dispose]() {
        scope.dispose();
        cache[Symbol.dispose]();
      },
    };
  } catch (error) {
    scope.dispose();
    cache[Symbol.dispose]();
    throw error;
  }
}

const NOTHING: Gathered = {};

async function floatsOf({ attention = [] }: Gathered): Promise<readonly Float32Array[]> {
  const floats: Float32Array[] = [];
  for (const rows of attention) floats.push(await rows.floats());
  return floats;
}

/** Whether what a policy judges by depends on the budget. */
function ofBudget({ evidence }: Policy): boolean {
  return evidence.kind === "lookahead";
}

function mostSteps(policies: readonly Policy[], answerTokens: number): number {
  return policies.reduce(
    (most, { evidence }) =>
      evidence.kind === "given" && evidence.queries.kind === "greedy"
        ? Math.max(most, evidence.queries.steps)
        : most,
    answerTokens,
  );
}

interface Known {
  readonly answer: readonly number[];
  /** What stands between the prompt and the answer. */
  readonly then: readonly number[];
  readonly facts: ModelFacts;
  /** Soft tokens met so far, no two alike. */
  readonly judges: SoftTokens[];
  /** Tokens that each layer keeps, where that matters. */
  readonly keep: readonly number[];
}

/**
 * Puts what is known already in place of what would be made anew. Evidence with the same key is the
 * same.
 */
async function settle(
  evidence: Evidence,
  { answer, then, facts, judges, keep }: Known,
): Promise<{ readonly key: string; readonly settled: Evidence }> {
  switch (evidence.kind) {
    case "none":
    case "accumulated":
      return { key: evidence.kind, settled: evidence };
    case "lookahead": {
      const { steps, draft, window } = evidence;
      const settings = JSON.stringify([steps, window, draft.name, draft.options, keep]);
      return { key: `lookahead ${settings}`, settled: evidence };
    }
    case "statistics":
      return { key: `statistics ${evidence.skip} ${evidence.future}`, settled: evidence };
    case "window":
      return { key: `window ${evidence.size}`, settled: evidence };
    case "given": {
      const { queries } = evidence;
      const ids = queries.kind === "tokens"
        ? queries.ids
        : [...then, ...answer.slice(0, queries.steps)];
      const settled: Evidence = { kind: "given", queries: { kind: "tokens", ids } };
      return { key: `given ${ids.join()}`, settled };
    }
    case "soft": {
      const tokens = await resolveSoftTokens(evidence.tokens, facts);
      const known = judges.findIndex((judge) => alike(judge, tokens));
      const index = known < 0 ? judges.push(tokens) - 1 : known;
      return { key: `soft ${index}`, settled: { kind: "soft", tokens: () => tokens } };
    }
  }
}

/** Whether two sets of soft tokens judge alike, wherever they were read from. */
function alike(a: SoftTokens, b: SoftTokens): boolean {
  const tensors = ({ embeddings, adapters }: SoftTokens) => ({
    ...adapters?.tensors,
    embeddings,
  });
  const [ofA, ofB]: Record<string, Float32Array>[] = [tensors(a), tensors(b)];
  const names = Object.keys(ofA ?? {});
  return names.length === Object.keys(ofB ?? {}).length &&
    names.every((name) => equal(ofA?.[name], ofB?.[name]));
}

function equal(a: Float32Array | undefined, b: Float32Array | undefined): boolean {
  return a === b ||
    (a?.length === b?.length && (a?.every((value, index) => value === b?.[index]) ?? false));
}
