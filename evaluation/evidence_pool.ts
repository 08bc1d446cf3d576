import type { Evidence, ModelFacts, SoftTokens } from "../policies/policy.ts";
import type { Gathered } from "../runtime/engine/engine.ts";
import type { ObservedPrompt } from "../runtime/evidence/observe.ts";
import { resolveSoftTokens } from "../runtime/soft_tokens/read.ts";

/** What evidence of one prompt is gathered from. */
export interface PoolSource {
  readonly observed: ObservedPrompt;
  readonly facts: ModelFacts;
  /** The answer, which stands for the model's own everywhere. */
  readonly answer: readonly number[];
  /** What stands between the prompt and the answer. */
  readonly then: readonly number[];
  /** Milliseconds, to measure phases with. */
  readonly now: () => number;
  readonly signal: AbortSignal | undefined;
}

/** The evidence of one prompt: what judges alike (soft tokens, answers) is gathered once. */
export interface EvidencePool {
  /**
   * Gathers evidence, or finds what was gathered before.
   *
   * @param keep Tokens that each layer keeps, where the evidence depends on that.
   */
  gather(evidence: Evidence, keep?: readonly number[]): Promise<Gathered>;
  /** Milliseconds that gathering something took. */
  time(gathered: Gathered): number;
}

/** Opens the pool of a prompt. */
export function createEvidencePool(source: PoolSource): EvidencePool {
  const { observed, now, signal } = source;
  const known = new Map<string, Gathered>();
  const times = new Map<Gathered, number>();
  const judges: SoftTokens[] = [];
  const surrogates: unknown[] = [];
  return {
    async gather(evidence, keep = []) {
      const { key, settled } = await settle(evidence, keep, source, judges, surrogates);
      const found = known.get(key);
      if (found) return found;
      signal?.throwIfAborted();
      const begun = now();
      const gathered = await observed.gather(settled, { keep });
      known.set(key, gathered);
      times.set(gathered, now() - begun);
      return gathered;
    },
    time: (gathered) => times.get(gathered) ?? 0,
  };
}

/**
 * Puts what is known already in place of what would be made again. Evidence with the same key is the
 * same.
 *
 * @param judges Soft tokens met so far, no two alike; new ones are added.
 * @param surrogates Networks met so far; new ones are added.
 */
async function settle(
  evidence: Evidence,
  keep: readonly number[],
  { answer, then, facts }: PoolSource,
  judges: SoftTokens[],
  surrogates: unknown[],
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
    case "replay":
      return { key: JSON.stringify(evidence), settled: evidence };
    case "window":
      return { key: JSON.stringify(evidence), settled: evidence };
    case "predicted":
      return { key: `predicted ${numberOf(evidence.surrogate, surrogates)}`, settled: evidence };
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
      const found = judges.findIndex((judge) => alike(judge, tokens));
      const index = found < 0 ? judges.push(tokens) - 1 : found;
      const settings = JSON.stringify([evidence.measure, evidence.draft]);
      return { key: `soft ${index} ${settings}`, settled: { ...evidence, tokens: () => tokens } };
    }
  }
}

/** The place of something among those met so far. */
function numberOf(one: unknown, met: unknown[]): number {
  const found = met.indexOf(one);
  return found < 0 ? met.push(one) - 1 : found;
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
