import type { Evidence, ModelFacts, Policy, SoftTokens } from "../policies/policy.ts";
import type { Budget } from "../runtime/budget.ts";
import { createHostCache } from "../runtime/cache/host_cache.ts";
import type { Engine, Sequence } from "../runtime/engine/engine.ts";
import { type Gathered, gatherEvidence, observationFor } from "../runtime/engine/evidence.ts";
import { greedyAnswer } from "../runtime/engine/greedy_answer.ts";
import { layerView } from "../runtime/engine/layer_view.ts";
import { prefill } from "../runtime/engine/prefill.ts";
import { gatherPromptStatistics } from "../runtime/engine/query_statistics.ts";
import { evictLayer } from "../runtime/evict/evict_layer.ts";
import { keepPerLayer } from "../runtime/evict/keep_per_layer.ts";
import { resolveSoftTokens } from "../runtime/soft_tokens.ts";

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
  /** Prompt tokens read at a time. @default {256} */
  readonly chunk?: number;
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
  /** Attention of the answer's queries, `[heads × tokens]` per layer. */
  readonly answerAttention: readonly Float32Array[];
  /**
   * Attention that a policy judges by, `[heads × tokens]` per layer; absent where it needs none, or
   * where it depends on the budget.
   */
  attention(policy: Policy): Gathered["attention"];
  /** What a policy keeps at a budget, `[layer][KV head]`. Changes nothing. */
  keep(policy: Policy, budget: Budget): Promise<readonly (readonly Int32Array[])[]>;
  /** The greedy answer when only some tokens are kept. The whole cache stays as it is. */
  answerFrom(kept: readonly (readonly Int32Array[])[], tokens: number): Promise<readonly number[]>;
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
  const { engine, facts, ids, policies, chunk = CHUNK, signal, onProgress } = request;
  const { layers, kvHeads, headDim } = engine.config;
  const shape = { layers, kvHeads, headDim };
  const cache = createHostCache(shape);
  const sequence: Sequence = { cache, position: 0, planned: 0 };
  const wanted = policies.filter(({ evicts }) => evicts !== false);
  try {
    await using statistics = await gatherPromptStatistics(
      wanted.map(({ evidence }) => evidence),
      engine,
    );
    const prefilled = await prefill(engine, sequence, ids, {
      ...statistics,
      chunk,
      observe: union(wanted),
      ...(signal ? { signal } : {}),
      ...(onProgress ? { onProgress } : {}),
    });
    const answer = request.answer ?? await greedyAnswer({
      engine,
      sequence,
      logits: prefilled.logits,
      steps: mostSteps(wanted, request.answerTokens),
      ...(signal ? { signal } : {}),
    });
    const gathered = new Map<string, Gathered>();
    const judges: SoftTokens[] = [];
    const gather = async (evidence: Evidence, keep: readonly number[] = []): Promise<Gathered> => {
      const { key, settled } = await settle(evidence, { answer, facts, judges, keep });
      const known = gathered.get(key);
      if (known) return known;
      signal?.throwIfAborted();
      const found = await gatherEvidence(settled, {
        ...{ engine, sequence, facts, prefilled, statistics, keep },
      });
      gathered.set(key, found);
      return found;
    };
    const judged = answer.slice(0, request.answerTokens);
    const { attention: answerAttention = [] } = await gather({
      kind: "given",
      queries: { kind: "tokens", ids: judged },
    });
    const byPolicy = new Map<Policy, Gathered>();
    for (const policy of wanted) {
      if (!ofBudget(policy)) byPolicy.set(policy, await gather(policy.evidence));
    }
    return {
      tokens: ids.length,
      answer: judged,
      answerAttention,
      attention: (policy) => byPolicy.get(policy)?.attention,
      async keep(policy, budget) {
        const keep = await keepPerLayer(policy, { length: ids.length, budget, shape });
        const found = byPolicy.get(policy) ?? await gather(policy.evidence, keep);
        const kept: (readonly Int32Array[])[] = [];
        for (const [layer, count] of keep.entries()) {
          const view = layerView(cache, engine, layer, found);
          kept.push(await evictLayer(policy, view, count));
        }
        return kept;
      },
      async answerFrom(kept, tokens) {
        using fork = cache.fork();
        kept.forEach((heads, layer) => fork.compact(layer, heads));
        return await greedyAnswer({
          engine,
          sequence: { ...sequence, cache: fork },
          logits: prefilled.logits,
          steps: tokens,
          ...(signal ? { signal } : {}),
        });
      },
      [Symbol.dispose]: () => cache[Symbol.dispose](),
    };
  } catch (error) {
    cache[Symbol.dispose]();
    throw error;
  }
}

/** Whether what a policy judges by depends on the budget. */
function ofBudget({ evidence }: Policy): boolean {
  return evidence.kind === "lookahead";
}

/** Every window that the policies need, each once. */
function union(policies: readonly Policy[]): readonly number[] {
  const windows = policies.flatMap(({ evidence }) => {
    const observation = observationFor(evidence);
    return observation === "none" ? [] : observation;
  });
  return [...new Set(windows)];
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
  { answer, facts, judges, keep }: Known,
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
      const ids = queries.kind === "tokens" ? queries.ids : answer.slice(0, queries.steps);
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
