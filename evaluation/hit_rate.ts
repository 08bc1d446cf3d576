import type { Policy } from "../policies/policy.ts";
import { globalLayers } from "../runtime/checkpoint/layer_kinds.ts";
import { cacheShapeOf } from "../runtime/engine/engine.ts";
import { type Budget, isRatio, keepCount } from "../runtime/evict/budget.ts";
import { groupMean } from "../runtime/engine/view_parts.ts";
import { BudgetError, PromptError } from "../runtime/errors.ts";
import type { KeptTokens } from "../runtime/evict/choose.ts";
import type { Model } from "../runtime/model.ts";
import { conversationIds } from "../runtime/tokenizer/completion_form.ts";
import { promptIds } from "../runtime/tokenizer/prompt.ts";
import { compareWithReference, localShare } from "./critical_hits.ts";
import { globalKept } from "./global_kept.ts";
import type { Measurement } from "./measurement.ts";
import type { PromptEvidence } from "./prompt_evidence.ts";
import { readEvidence } from "./read_evidence.ts";
import type { BrokenLine, EvaluationPrompt, KnownAnswer } from "./prompt_set.ts";
import { type Estimate, estimate, mean } from "./statistics.ts";
import { demandObject } from "../runtime/given.ts";

/** What {@linkcode measureHitRates} is to do. */
export interface HitRateRequest extends Measurement {
  /** The prompts. */
  readonly prompts: readonly EvaluationPrompt[];
  /** Tokens, at most, of the answer whose queries are the reference. @default {64} */
  readonly responseTokens?: number;
  /** Seed of the intervals. @default {0} */
  readonly seed?: number;
  /** Gets the number of prompts that are done, and of all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** One policy at one budget on one prompt. */
export interface PromptHit {
  /** The policy, as it was written. */
  readonly policy: string;
  /** The budget, as it was written. */
  readonly budget: string;
  /** `null` where the budget covers the prompt, or is a ratio of it below what the policy always keeps. */
  readonly hitRate: number | null;
  /** Share of the answer's attention that is kept. */
  readonly attentionMass: number | null;
  /** Hit rate of each `[global layer][KV head]`; `null` as above. */
  readonly byHead: HeadRates | null;
}

/** Hit rates by global layer and KV head. */
export type HeadRates = readonly (readonly number[])[];

/** One prompt. */
export interface PromptRow {
  /** Line of the file, from 1. */
  readonly line: number;
  /** Tokens of the prompt. */
  readonly tokens: number;
  /** Tokens of the answer. */
  readonly answerTokens: number;
  /** One for each policy and budget. */
  readonly hits: readonly PromptHit[];
  /** Share of the attention that the last prompt tokens hold, by policy; `response`: the answer's. */
  readonly localShares: Readonly<Record<string, number>>;
}

/** One policy at one budget on all prompts. */
export interface HitRate extends Pick<PromptHit, "policy" | "budget"> {
  /** Share of the tokens the answer attends to most that is kept. */
  readonly hitRate: Estimate;
  /** Share of the answer's attention that is kept. */
  readonly attentionMass: Estimate;
  /** Mean hit rate of each `[global layer][KV head]`; empty without prompts. */
  readonly byHead: HeadRates;
  /** Prompts without a hit rate: they are not part of the means. */
  readonly leftOut: number;
}

/** What was measured. */
export interface HitRateReport {
  /** Numbers of the layers that are evicted, and so measured: all but those whose window slides. */
  readonly layers: readonly number[];
  /** One for each prompt. */
  readonly rows: readonly PromptRow[];
  /** One for each policy and budget. */
  readonly results: readonly HitRate[];
  /** By policy; `response` is the answer itself. */
  readonly localShares: readonly { readonly policy: string; readonly share: Estimate }[];
  /** Prompts that the model cannot read. */
  readonly skipped: readonly BrokenLine[];
}

const RESPONSE_TOKENS = 64;

/**
 * Measures how many of the tokens that an answer attends to policies keep: the critical hit rate
 * (Judge Q, Eq. 6) and the attention mass, against the answer that the model gives with its whole
 * cache. Every prompt is read once for all policies and budgets.
 *
 * @throws {PromptError} If the model can read none of the prompts.
 * @throws {BudgetError} If a policy protects more tokens than a budget in tokens or bytes keeps.
 *
 * @example
 * ```ts
 * import { loadModel } from "../runtime/model.ts";
 * import { measureHitRates } from "./hit_rate.ts";
 * import { parsePolicies } from "./policy_list.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * await using model = await loadModel(folder, { precision: "fp32" });
 * const { results } = await measureHitRates({
 *   model,
 *   prompts: [{ line: 1, prompt: { ids: Array.from({ length: 40 }, (_, at) => 2 + at) } }],
 *   policies: await parsePolicies("random,oracle(tokens=4)"),
 *   budgets: [{ label: "10", budget: 10 }],
 *   responseTokens: 4,
 * });
 * const [random = NaN, oracle] = results.map(({ hitRate }) => hitRate.mean ?? NaN);
 * assertEquals([random < 1, oracle], [true, 1]);
 * ```
 */
export async function measureHitRates(request: HitRateRequest): Promise<HitRateReport> {
  demandObject("measure hit rates", "the request", request);
  const { prompts, policies, budgets, signal, onProgress } = request;
  const rows: PromptRow[] = [];
  const skipped: BrokenLine[] = [];
  for (const [index, prompt] of prompts.entries()) {
    signal?.throwIfAborted();
    const row = await measurePrompt(request, prompt);
    if (typeof row === "string") skipped.push({ line: prompt.line, reason: row });
    else rows.push(row);
    onProgress?.(index + 1, prompts.length);
  }
  if (rows.length === 0) {
    throw new PromptError(
      `Cannot measure hit rates: the model can read none of ${prompts.length} prompts; line ` +
        `${skipped[0]?.line}: ${skipped[0]?.reason}`,
    );
  }
  const { seed = 0 } = request;
  return {
    layers: globalLayers(request.model.config),
    rows,
    skipped,
    results: policies.flatMap(({ label: policy }) =>
      budgets.map(({ label: budget }) => summary(rows, policy, budget, seed))
    ),
    localShares: Object.keys(rows[0]?.localShares ?? {}).map((policy) => ({
      policy,
      share: estimate(rows.map(({ localShares }) => localShares[policy] ?? NaN), seed),
    })),
  };
}

function summary(
  rows: readonly PromptRow[],
  policy: string,
  budget: string,
  seed: number,
): HitRate {
  const hits = rows.flatMap((row) => row.hits)
    .filter((hit) => hit.policy === policy && hit.budget === budget);
  const values = (pick: (hit: PromptHit) => number | null) =>
    hits.map(pick).filter((value) => value !== null);
  const hitRate = estimate(values((hit) => hit.hitRate), seed);
  return {
    policy,
    budget,
    hitRate,
    attentionMass: estimate(values((hit) => hit.attentionMass), seed),
    byHead: meanByHead(hits.map((hit) => hit.byHead).filter((rates) => rates !== null)),
    leftOut: rows.length - hitRate.n,
  };
}

/** Means of each layer and KV head over prompts. */
function meanByHead(prompts: readonly HeadRates[]): HeadRates {
  return (prompts[0] ?? []).map((ofLayer, layer) =>
    ofLayer.map((_, head) => mean(prompts.map((rates) => rates[layer]?.[head] ?? NaN)))
  );
}

/** Measures one prompt, or says why the model cannot read it. */
async function measurePrompt(
  request: HitRateRequest,
  { line, prompt, response }: EvaluationPrompt,
): Promise<PromptRow | string> {
  const { model, policies, signal, responseTokens = RESPONSE_TOKENS } = request;
  const { engine, tokenizer } = model;
  const ids = "messages" in prompt
    ? conversationIds(prompt.messages, tokenizer)
    : promptIds(prompt, tokenizer);
  const answer = response === undefined
    ? undefined
    : answerIds(response, tokenizer).slice(0, responseTokens);
  const problem = findProblem(ids, answer, responseTokens, model);
  if (problem !== undefined) return problem;
  using evidence = await readEvidence({
    engine,
    facts: await model.facts(),
    ids,
    policies: policies.map(({ policy }) => policy),
    answerTokens: responseTokens,
    ...(answer ? { answer } : {}),
    ...(request.chunk === undefined ? {} : { chunk: request.chunk }),
    ...(signal ? { signal } : {}),
  });
  return {
    line,
    tokens: ids.length,
    answerTokens: evidence.answer.length,
    hits: await hitsOf(request, evidence),
    localShares: localSharesOf(request, evidence),
  };
}

async function hitsOf(
  { model, policies, budgets }: HitRateRequest,
  evidence: PromptEvidence,
): Promise<PromptHit[]> {
  const { heads, kvHeads } = model.config;
  const { tokens, answerAttention } = evidence;
  const scores = answerAttention.map((ofLayer) => groupMean(ofLayer, heads, kvHeads, tokens));
  const hits: PromptHit[] = [];
  for (const { label: policy, policy: asked } of policies) {
    for (const { label: budget, budget: amount } of budgets) {
      const count = keepCount(tokens, amount, cacheShapeOf(model.engine));
      const chosen = count >= tokens ? undefined : await keptAt(evidence, asked, amount);
      if (!chosen) {
        hits.push({ policy, budget, hitRate: null, attentionMass: null, byHead: null });
        continue;
      }
      const kept = globalKept(chosen, model.config);
      const catches = kept.map((ofLayer, layer) =>
        compareWithReference(ofLayer, scores[layer] ?? new Float32Array(0), count)
      );
      hits.push({
        policy,
        budget,
        hitRate: mean(catches.map(({ hitRate }) => hitRate)),
        attentionMass: mean(catches.map(({ attentionMass }) => attentionMass)),
        byHead: catches.map(({ byHead }) => byHead),
      });
    }
  }
  return hits;
}

/** What a policy keeps; nothing is to be compared where a ratio of a short prompt is less than it always keeps. */
async function keptAt(
  evidence: PromptEvidence,
  policy: Policy,
  budget: Budget,
): Promise<KeptTokens | undefined> {
  try {
    return await evidence.keep(policy, budget);
  } catch (error) {
    if (error instanceof BudgetError && isRatio(budget)) return undefined;
    throw error;
  }
}

function localSharesOf(
  { policies, model: { config: { heads, kvHeads } } }: HitRateRequest,
  evidence: PromptEvidence,
): Record<string, number> {
  const { tokens, answerAttention } = evidence;
  const share = (attention: readonly Float32Array[]) =>
    mean(
      attention.map((ofLayer) => localShare(groupMean(ofLayer, heads, kvHeads, tokens), tokens)),
    );
  const shares: Record<string, number> = { response: share(answerAttention) };
  for (const { label, policy } of policies) {
    const attention = evidence.attention(policy);
    if (attention) shares[label] = share(attention);
  }
  return shares;
}

function answerIds(response: KnownAnswer, tokenizer: Model["tokenizer"]): readonly number[] {
  return "ids" in response ? response.ids : tokenizer.encode(response.text, { bos: false });
}

function findProblem(
  ids: readonly number[],
  answer: readonly number[] | undefined,
  responseTokens: number,
  { config: { context, vocabulary } }: HitRateRequest["model"],
): string | undefined {
  if (ids.length === 0) return "the prompt has no tokens";
  if (answer?.length === 0) return "the response has no tokens";
  const unknown = [...ids, ...answer ?? []].find((id) => id >= vocabulary);
  if (unknown !== undefined) return `there is no token ${unknown}: ids go to ${vocabulary - 1}`;
  const needed = ids.length + (answer?.length ?? responseTokens);
  if (needed <= context) return undefined;
  return `prompt and answer take ${needed} tokens, the model's context is ${context}`;
}
