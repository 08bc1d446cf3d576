import { keepCount, type UniformBudget } from "../runtime/budget.ts";
import type { ModelConfig } from "../runtime/checkpoint/checkpoint.ts";
import type { Reading } from "../runtime/engine/read.ts";
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

/** Most kept tokens that are listed as text. */
const LISTED = 20;

/**
 * An explanation for people: what was kept in all, then the tokens that most heads keep.
 *
 * @param textOf Text of the token at a position.
 */
export function showExplanation(explanation: Explanation, textOf: (at: number) => string): string {
  const { tokens, layers, bytes, policy, model } = explanation;
  const heads = layers.flatMap((layer) => layer.heads);
  const votes = new Array<number>(tokens).fill(0);
  for (const { kept } of heads) kept.forEach((at) => votes[at] = (votes[at] ?? 0) + 1);
  const counts = heads.map(({ kept }) => kept.length);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  const dropped = votes.filter((count) => count === 0).length;
  const ranked = votes.map((count, at) => ({ count, at }))
    .sort((a, b) => b.count - a.count || a.at - b.at)
    .slice(0, LISTED)
    .map(({ count, at }) => {
      const share = `${Math.round(100 * count / heads.length)}%`.padStart(5);
      return `${share} ${String(at).padStart(8)}  ${textOf(at)}`.trimEnd();
    });
  return [
    `${policy} on ${model}: ${tokens} tokens, ${layers.length} layers, ${heads.length} KV heads`,
    `kept per head: ${least === most ? most : `${least} to ${most}`}; ` +
    `dropped by every head: ${dropped}`,
    `cache: ${formatBytes(bytes.before)} before, ${formatBytes(bytes.after)} after`,
    "",
    "Kept by most heads (--json lists every head):",
    "share position  token",
    ...ranked,
    "",
  ].join("\n");
}
