import { table } from "./_table.ts";
import { keepCount, type UniformBudget } from "../runtime/evict/budget.ts";
import type { ModelConfig } from "../runtime/checkpoint/checkpoint.ts";
import type { Reading } from "../runtime/evict/read.ts";
import type { Policy } from "../policies/policy.ts";
import { formatBytes } from "./_output.ts";

/** One head in an {@linkcode Explanation}. */
interface ExplainedHead {
  /** Positions of the kept tokens, ascending. */
  readonly kept: readonly number[];
  /** The policy's score of each token, if asked for. */
  readonly scores?: readonly number[];
}

/** Which tokens a policy keeps, as `explain --json` prints it. */
export interface Explanation {
  readonly model: string;
  readonly policy: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Tokens of the prompt. */
  readonly tokens: number;
  /** Tokens per KV head and layer that the budget comes to; all where the policy never evicts. */
  readonly budget: number;
  readonly layers: readonly { readonly layer: number; readonly heads: readonly ExplainedHead[] }[];
  readonly bytes: { readonly before: number; readonly after: number };
  /** Logits of the last prompt token, if asked for. */
  readonly logits?: readonly number[];
}

/** What {@linkcode explain} puts together. */
export interface ExplainedReading {
  readonly model: string;
  readonly config: ModelConfig;
  readonly policy: Policy;
  readonly budget: UniformBudget;
  readonly reading: Reading;
  /** Whether to give scores; a policy that chooses without them has none. */
  readonly scores: boolean;
  readonly logits: boolean;
}

/** Puts a reading in the form that is printed. */
export function explain(
  { model, config, policy, reading, ...given }: ExplainedReading,
): Explanation {
  const { tokens, kept, scores, bytes, logits } = reading;
  return {
    model,
    policy: policy.name,
    options: policy.options ?? {},
    tokens,
    budget: policy.evicts === false ? tokens : tokensOf(given.budget, tokens, config),
    layers: kept.map((heads, layer) => ({
      layer,
      heads: heads.map((positions, head) => {
        const row = scores[layer]?.subarray(head * tokens, (head + 1) * tokens);
        return {
          kept: Array.from(positions),
          ...(given.scores && row ? { scores: Array.from(row) } : {}),
        };
      }),
    })),
    bytes,
    ...(given.logits ? { logits: Array.from(logits) } : {}),
  };
}

function tokensOf(budget: UniformBudget, length: number, config: ModelConfig): number {
  if (typeof budget === "object" && "tokens" in budget) return budget.tokens;
  return keepCount(length, budget, config);
}

/** What was kept in all, in lines for people. */
export function summary(explanation: Explanation): string[] {
  const { tokens, layers, bytes, policy, model } = explanation;
  const heads = layers.flatMap((layer) => layer.heads);
  const { common, disputed } = agreement(explanation);
  const counts = heads.map(({ kept }) => kept.length);
  const [min, max] = [Math.min(...counts), Math.max(...counts)];
  return [
    `${policy} on ${model}: ${tokens} tokens, ${counted(layers.length, "layer")}, ` +
    counted(heads.length, "KV head"),
    `cache: ${formatBytes(bytes.before)} before, ${formatBytes(bytes.after)} after`,
    `kept by each head: ${min === max ? max : `${min} to ${max}`}`,
    `kept by all heads: ${common.length}${common.length > 0 ? ` (${ranges(common)})` : ""}`,
    `kept by some: ${disputed.length}, by none: ${tokens - common.length - disputed.length}`,
  ];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Tokens that are listed as text. */
const LISTED = 20;

/**
 * An explanation for people: what was kept in all, then the tokens that most heads keep.
 *
 * @param textOf Text of the token at a position.
 */
export function showExplanation(explanation: Explanation, textOf: (at: number) => string): string {
  const heads = explanation.layers.reduce((sum, layer) => sum + layer.heads.length, 0);
  const { disputed } = agreement(explanation);
  const rows = disputed.slice(0, LISTED).map(({ at, count }) => [
    `${Math.round(100 * count / heads)}%`,
    String(at),
    textOf(at),
  ]);
  return [
    ...summary(explanation),
    ...disputed.length > 0
      ? [
        "",
        table([["share", "position", "kept by some, most first"], ...rows], { left: [2] })
          .trimEnd(),
      ]
      : [],
    ...disputed.length > LISTED ? ["--json lists them all, head by head."] : [],
    "",
  ].join("\n");
}

/** Positions that all heads keep, ascending, and those that some do, most first. */
function agreement(explanation: Explanation) {
  const heads = explanation.layers.reduce((sum, layer) => sum + layer.heads.length, 0);
  const votes = Array.from(votesOf(explanation), (count, at) => ({ at, count }));
  return {
    common: votes.filter(({ count }) => count === heads).map(({ at }) => at),
    disputed: votes
      .filter(({ count }) => count > 0 && count < heads)
      .sort((a, b) => b.count - a.count || a.at - b.at),
  };
}

/** How many heads keep each token. */
export function votesOf({ tokens, layers }: Explanation): Uint32Array {
  const votes = new Uint32Array(tokens);
  for (const { heads } of layers) {
    for (const { kept } of heads) kept.forEach((at) => votes[at] = (votes[at] ?? 0) + 1);
  }
  return votes;
}

/** Ascending positions as `0-3, 17`. */
export function ranges(positions: readonly number[]): string {
  const spans: [number, number][] = [];
  for (const at of positions) {
    const last = spans.at(-1);
    if (last && last[1] === at - 1) last[1] = at;
    else spans.push([at, at]);
  }
  return spans.map(([from, to]) => from === to ? `${from}` : `${from}-${to}`).join(", ");
}
