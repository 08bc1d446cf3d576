import { table } from "./_table.ts";
import { keepCount, type UniformBudget } from "../runtime/evict/budget.ts";
import { cacheShapeOf, type Engine } from "../runtime/engine/engine.ts";
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

/** One layer in an {@linkcode Explanation}. */
export interface ExplainedLayer {
  readonly layer: number;
  /** Tokens that a layer that slides sees at most: it keeps its last ones, whatever is evicted. */
  readonly window?: number;
  readonly heads: readonly ExplainedHead[];
}

/** Which tokens a policy keeps, as `explain --json` prints it. */
export interface Explanation {
  readonly model: string;
  readonly policy: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Tokens of the prompt. */
  readonly tokens: number;
  /** Tokens per KV head and global layer that the budget comes to; all where the policy never evicts. */
  readonly budget: number;
  readonly layers: readonly ExplainedLayer[];
  readonly bytes: { readonly before: number; readonly after: number };
  /** Logits of the last prompt token, if asked for. */
  readonly logits?: readonly number[];
}

/** What {@linkcode explain} puts together. */
export interface ExplainedReading {
  readonly model: string;
  readonly engine: Pick<Engine, "config" | "numberBytes">;
  readonly policy: Policy;
  readonly budget: UniformBudget;
  readonly reading: Reading;
  /** Whether to give scores; a policy that chooses without them has none. */
  readonly scores: boolean;
  readonly logits: boolean;
}

/** Puts a reading in the form that is printed. */
export function explain(
  { model, engine, policy, reading, ...given }: ExplainedReading,
): Explanation {
  const { tokens, kept, scores, bytes, logits } = reading;
  const { layerKinds } = engine.config;
  return {
    model,
    policy: policy.name,
    options: policy.options ?? {},
    tokens,
    budget: policy.evicts === false ? tokens : tokensOf(given.budget, tokens, engine),
    layers: kept.map((heads, layer) => {
      const window = layerKinds[layer]?.window;
      return {
        layer,
        ...(window === undefined ? {} : { window }),
        heads: heads.map((indices, head) => {
          const row = scores[layer]?.subarray(head * tokens, (head + 1) * tokens);
          // Where a layer slides, what it held began behind the text's beginning.
          const first = window === undefined ? 0 : tokens - indices.length;
          return {
            kept: Array.from(indices, (index) => first + index),
            ...(given.scores && row?.length ? { scores: Array.from(row) } : {}),
          };
        }),
      };
    }),
    bytes,
    ...(given.logits ? { logits: Array.from(logits) } : {}),
  };
}

function tokensOf(
  budget: UniformBudget,
  length: number,
  engine: ExplainedReading["engine"],
): number {
  if (typeof budget === "object" && "tokens" in budget) return budget.tokens;
  const shape = cacheShapeOf(engine);
  // A model whose layers all slide has nothing to evict.
  return shape.layers === 0 ? length : keepCount(length, budget, shape);
}

/** The layers that count: those that a policy evicts; all where every one slides. */
function countedLayers({ layers }: Pick<Explanation, "layers">): readonly ExplainedLayer[] {
  const globals = layers.filter(({ window }) => window === undefined);
  return globals.length > 0 ? globals : layers;
}

/** Which layers slide, and what that means, if any does. */
export function slidingLayers({ layers }: Pick<Explanation, "layers">): string[] {
  const byWindow = Map.groupBy(
    layers.filter(({ window }) => window !== undefined),
    ({ window }) => window,
  );
  const lists = [...byWindow].map(([window = 0, slide]) =>
    `${ranges(slide.map(({ layer }) => layer))} (window ${window}, ${window - 1} tokens kept)`
  );
  if (lists.length === 0) return [];
  const all = layers.every(({ window }) => window !== undefined);
  return [
    `layers that slide: ${lists.join("; ")}`,
    all
      ? "every layer shown slides: nothing is evicted from it"
      : "what is kept is counted in the other, global layers: policies see and evict these alone",
  ];
}

/** What was kept in all, in lines for people. */
export function summary(explanation: Explanation): string[] {
  const { tokens, layers, bytes, policy, model } = explanation;
  const all = layers.flatMap((layer) => layer.heads);
  const heads = countedLayers(explanation).flatMap((layer) => layer.heads);
  const { common, disputed } = agreement(explanation);
  const counts = heads.map(({ kept }) => kept.length);
  const [min, max] = [Math.min(...counts), Math.max(...counts)];
  return [
    `${policy} on ${model}: ${tokens} tokens, ${counted(layers.length, "layer")}, ` +
    counted(all.length, "KV head"),
    ...slidingLayers(explanation),
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
  const heads = countedHeads(explanation);
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
  const heads = countedHeads(explanation);
  const votes = Array.from(votesOf(explanation), (count, at) => ({ at, count }));
  return {
    common: votes.filter(({ count }) => count === heads).map(({ at }) => at),
    disputed: votes
      .filter(({ count }) => count > 0 && count < heads)
      .sort((a, b) => b.count - a.count || a.at - b.at),
  };
}

/** KV heads of the layers that count. */
export function countedHeads(explanation: Pick<Explanation, "layers">): number {
  return countedLayers(explanation).reduce((sum, layer) => sum + layer.heads.length, 0);
}

/** How many heads of the layers that count keep each token. */
export function votesOf(explanation: Pick<Explanation, "tokens" | "layers">): Uint32Array {
  const votes = new Uint32Array(explanation.tokens);
  for (const { heads } of countedLayers(explanation)) {
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
