import type { Evidence, Policy } from "../policies/policy.ts";
import { globalLayers } from "../runtime/checkpoint/layer_kinds.ts";
import { cacheShapeOf, type Gathered } from "../runtime/engine/engine.ts";
import { beginning } from "../runtime/engine/go_back.ts";
import { prefill } from "../runtime/engine/prefill.ts";
import {
  emptySequence,
  holdSequence,
  rollbackSequence,
  type Sequence,
} from "../runtime/engine/sequence.ts";
import { freeSums, sumsToCarry } from "../runtime/evidence/accumulated.ts";
import { greedyAnswer } from "../runtime/evidence/greedy.ts";
import { observePrompt } from "../runtime/evidence/observe.ts";
import { applyKept } from "../runtime/evict/apply.ts";
import { chooseKept, type KeptTokens } from "../runtime/evict/choose.ts";
import { answerEvicting } from "../runtime/evict/decoding.ts";
import { fittedTo } from "../runtime/evict/fitted.ts";
import { restoringTokens } from "../runtime/evict/restore.ts";
import { accumulating, policiesOf, roundsOf } from "../runtime/evict/rounds.ts";
import { globalKept } from "./global_kept.ts";
import { createEvidencePool } from "./evidence_pool.ts";
import { type OwnReading, ownReadings } from "./own_readings.ts";
import type { EvictedBy, EvidenceReading, PromptEvidence } from "./prompt_evidence.ts";

/**
 * Reads a prompt once for several policies: one reading observes every window that they need, one
 * greedy answer is decoded, and what judges alike (soft tokens, answers) is probed once. What is kept
 * is chosen and applied by the runtime, as in a session.
 *
 * @throws {PolicyError} If a policy breaks its contract.
 * @throws {CheckpointError} If soft tokens do not fit the model.
 */
export async function readEvidence(request: EvidenceReading): Promise<PromptEvidence> {
  const { engine, facts, ids, policies, answerTokens, then = [], isOver, signal, onProgress } =
    request;
  const { chunk = engine.chunk, now = () => performance.now(), raise = "none" } = request;
  const { config } = engine;
  using opening = new DisposableStack();
  const cache = opening.use(engine.newCache());
  const scope = opening.use(new DisposableStack());
  const sequence = emptySequence(cache);
  const fitted = new Map<Policy, Policy>();
  for (const policy of policies) fitted.set(policy, await fittedTo(policy, facts));
  const fit = (policy: Policy): Policy => fitted.get(policy) ?? policy;
  const shared = [...fitted.values()]
    .filter(({ evicts, phases }) => evicts !== false && !phases?.reading);
  const wanted = shared.flatMap(policiesOf);
  const evidence = wanted.map((policy) => policy.evidence);
  const begun = now();
  const reading = { engine, sequence, ids, evidence, facts, chunk, scope, signal, onProgress };
  const answerFollows = then.length === 0;
  const observed = await observePrompt({ ...reading, answerFollows });
  const read = now();
  const { bytes } = cache;
  const alone = opening.use(
    ownReadings({ engine, ids, facts, chunk, raise, answerFollows, now, signal }),
  );

  /** Logits of the last token before the answer; what stands between is read first. */
  const logitsBefore = async (from: Sequence, own?: OwnReading): Promise<Float32Array> => {
    if (then.length === 0) return own?.reading.logits ?? observed.logits;
    return (await prefill(engine, from, then, { chunk, observe: "none", signal })).logits;
  };
  const decode = async (
    from: Sequence,
    steps: number,
    own?: OwnReading,
    isOver = request.isOver,
  ): Promise<readonly number[]> => {
    using mark = holdSequence(from);
    const logits = await logitsBefore(from, own);
    const found = await greedyAnswer({ engine, sequence: from, logits, steps, signal }, isOver);
    rollbackSequence(from, mark);
    return found;
  };
  const first = request.answer ?? await decode(sequence, answerTokens);
  const answered = now();
  const steps = stepsOf(evidence);
  const ended = request.answer !== undefined || config.eosIds.includes(first.at(-1) ?? -1);
  const more = !ended && steps > first.length;
  const answer = more ? await decode(sequence, steps, undefined, () => false) : first;
  const judged = request.answer?.slice(0, answerTokens) ?? first;

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
    if (policy.phases?.reading) return (await alone.read(policy, budget)).reading.kept;
    const held = globalLayers(config).map(() => ids.length);
    const shape = cacheShapeOf(engine);
    const restoring = await restoringTokens(policy, facts, config);
    const given = { length: ids.length, budget, shape, restored: restoring?.count ?? 0 };
    const rounds = await roundsOf(fit(policy), { ...given, raise }, held);
    const gathered: Gathered[] = [];
    for (const round of rounds) {
      const { evidence } = round.policy;
      gathered.push(byPolicy.get(round.policy) ?? await pool.gather(evidence, round.keep));
    }
    return await chooseKept({ engine, sequence, rounds, gathered });
  };
  const workFrom: PromptEvidence["workFrom"] = async (kept, work, by) => {
    const own = alone.of(kept, by?.policy);
    const from = own?.sequence ?? sequence;
    using fork = await from.cache.fork();
    const copy = { ...from, cache: fork };
    const started = now();
    if (kept && !own) {
      const { positions, merging, restores } = by?.policy ?? {};
      const restoring = await restoringTokens({ restores }, facts, config);
      await applyKept(copy, kept, { engine, positions, merging, restoring });
    }
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
    const own = alone.of(kept, policy);
    const whole = globalKept(kept, config).flat().every(({ length }) => length === ids.length);
    using start = holdSequence(from);
    const summing = accumulating(fit(policy));
    const judgedBy = whole || !summing ? undefined : byPolicy.get(summing)?.attention;
    const carried = own ? undefined : await sumsToCarry(fit(policy), judgedBy, kept, cache);
    using _carried = { [Symbol.dispose]: () => freeSums(carried) };
    return await answerEvicting({
      ...{ engine, sequence: from, policy, budget, facts, steps, chunk, now, signal },
      logits: await logitsBefore(from, own),
      isOver,
      ids: [...ids, ...then],
      tail: then.length + (whole ? ids.length : 0),
      tailStart: whole ? beginning(from) : start,
      earlier: own ? own.reading.attentionSums : carried,
    });
  };
  const owned = opening.move();
  return {
    tokens: ids.length,
    answer: judged,
    bytes,
    times: { prefill: read - begun, answer: answered - read },
    answerAttention,
    attention: (policy) => attention.get(fit(policy)),
    evidenceTime: (policy) => pool.time(byPolicy.get(fit(policy)) ?? {}),
    readingTime: (kept, policy) => alone.of(kept, policy)?.reading.times.prefill ?? 0,
    logits: observed.logits,
    keep,
    workFrom,
    answerFrom: (kept, steps, by) =>
      workFrom(
        kept,
        (from) =>
          by?.policy.phases?.decoding
            ? answerEvicted(from, kept, steps, by)
            : decode(from, steps, alone.of(kept, by?.policy)),
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
function stepsOf(evidence: readonly Evidence[]): number {
  const steps = evidence.map((one) =>
    one.kind === "given" && one.queries.kind === "greedy" ? one.queries.steps : 0
  );
  return Math.max(0, ...steps);
}
