import {
  type LayerView,
  OptionError,
  type Policy,
  type ScorerPolicy,
} from "../../policies/policy.ts";
import { KvjudgeError, PolicyError } from "../errors.ts";
import { checkedScores } from "./scores.ts";
import type { LayerChoice } from "./divide.ts";
import { lift, selectAcross, selectFrom } from "./select.ts";

/** Characters of what a policy threw that are shown at most. */
const LONGEST_REASON = 1000;

/**
 * Asks a policy which tokens of a layer stay, and checks its answer.
 *
 * Where everything fits, or the policy evicts nothing, everything is kept and it is not asked.
 *
 * @param keep Tokens to keep per KV head, at least 1.
 * @returns Ascending indices per KV head, `min(keep, length)` each.
 * @throws {PolicyError} If the policy fails or its answer breaks the contract.
 * @throws {BudgetError} If the policy protects more tokens than may be kept.
 *
 * @example
 * ```ts
 * import type { LayerView } from "../../policies/policy.ts";
 *
 * import { assertEquals } from "@std/assert";
 *
 * const policy = {
 *   name: "first",
 *   evidence: { kind: "none" },
 *   score: () => new Float32Array([9, 8, 7, 6]),
 * } as const;
 * const layer = { layer: 0, kvHeads: 1, length: 4 } as LayerView;
 * assertEquals(await selectKept(policy, layer, 2), [new Int32Array([0, 1])]);
 * ```
 */
export async function selectKept(
  policy: Policy,
  layer: LayerView,
  keep: number,
): Promise<readonly Int32Array[]> {
  const { kvHeads, length } = layer;
  if (policy.evicts === false || (keep >= length && !hasThreshold(policy))) {
    const all = new Int32Array(length);
    for (let index = 0; index < length; index++) all[index] = index;
    return Array.from({ length: kvHeads }, () => all.slice());
  }
  const most = Math.min(keep, length);
  const kept = await asked(policy, layer, () => lift(policy).select(layer, most));
  const ragged = hasThreshold(policy) || ("score" in policy && policy.allocateHeads !== undefined);
  const problem = findProblem(kept, layer, ragged ? undefined : keep);
  if (problem !== undefined) {
    throw new PolicyError(
      `Policy '${policy.name}' broke its contract in layer ${layer.layer}: ${problem}`,
    );
  }
  return kept;
}

/**
 * As {@linkcode selectKept}, of a layer whose KV heads may be shown one by one.
 *
 * @param views One view, or one for each KV head.
 * @param keep Tokens to keep per KV head, on average.
 */
export async function selectKeptOfViews(
  policy: Policy,
  views: readonly LayerView[],
  keep: number,
): Promise<readonly Int32Array[]> {
  const [first, ...others] = views;
  if (!first) throw new RangeError("Cannot evict from a layer without heads");
  if (others.length === 0) return await selectKept(policy, first, keep);
  const held = views.reduce((sum, { length }) => sum + length, 0);
  if (policy.evicts === false || (held <= keep * views.length && !hasThreshold(policy))) {
    return views.map(({ length }) => Int32Array.from({ length }, (_, index) => index));
  }
  if ("score" in policy) return await asked(policy, first, () => selectFrom(policy, views, keep));
  const kept: Int32Array[] = [];
  for (const view of views) kept.push(...await selectKept(policy, view, keep));
  return kept;
}

/**
 * Asks a policy for its scores of a layer, and checks them.
 *
 * @returns `[kvHeads × length]`.
 * @throws {PolicyError} If the policy fails or its scores break the contract.
 *
 * @example
 * ```ts
 * import type { LayerView } from "../../policies/policy.ts";
 * import { scoreLayer } from "./contract.ts";
 * import { assertRejects } from "@std/assert";
 *
 * const score = () => new Float32Array([NaN]);
 * const policy = { name: "odd", evidence: { kind: "none" }, score } as const;
 * const layer = { layer: 0, kvHeads: 1, length: 1 } as LayerView;
 * await assertRejects(() => scoreLayer(policy, layer), Error, "is NaN");
 * ```
 */
export function scoreLayer(policy: ScorerPolicy, layer: LayerView): Promise<Float32Array> {
  return asked(policy, layer, () => checkedScores(policy, layer));
}

/**
 * As {@linkcode selectKeptOfViews}, of all layers at once: for a policy that divides the budget of all
 * among their KV heads.
 */
export async function selectKeptAcross(
  policy: ScorerPolicy,
  layers: readonly LayerChoice[],
): Promise<readonly (readonly Int32Array[])[]> {
  const heads = layers.flatMap(({ views, keep }) =>
    views.flatMap(({ kvHeads, length }) =>
      Array.from({ length: kvHeads }, () => ({ length, keep }))
    )
  );
  const sum = (of: "length" | "keep") => heads.reduce((total, head) => total + head[of], 0);
  if (policy.evicts === false || (sum("length") <= sum("keep") && !hasThreshold(policy))) {
    return layers.map(({ views }) =>
      views.flatMap(({ kvHeads, length }) =>
        Array.from(
          { length: kvHeads },
          () => Int32Array.from({ length }, (_, index) => index),
        )
      )
    );
  }
  return await askedIn("all layers", policy, () => selectAcross(policy, layers));
}

/** Whether a policy drops tokens that a budget has room for. */
export function hasThreshold(policy: Policy): boolean {
  return "score" in policy && policy.threshold !== undefined;
}

function asked<T>(policy: Policy, { layer }: LayerView, ask: () => T | Promise<T>): Promise<T> {
  return askedIn(`layer ${layer}`, policy, ask);
}

async function askedIn<T>(where: string, policy: Policy, ask: () => T | Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof KvjudgeError || cause instanceof OptionError) throw cause;
    const reason = reasonOf(cause);
    throw new PolicyError(`Policy '${policy.name}' failed in ${where}: ${reason}`, { cause });
  }
}

/** What a policy threw, in a line. */
function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  const line = text.split("\n", 1)[0] ?? "";
  return line.length > LONGEST_REASON ? `${line.slice(0, LONGEST_REASON)}…` : line;
}

function findProblem(
  kept: readonly Int32Array[],
  { kvHeads, length }: LayerView,
  keep: number | undefined,
): string | undefined {
  if (!Array.isArray(kept) || kept.length !== kvHeads) {
    const got = Array.isArray(kept) ? kept.length : typeof kept;
    return `'select' must give one array for each of ${kvHeads} KV heads, got ${got}`;
  }
  for (const [head, indices] of kept.entries()) {
    const count = keep ?? indices.length;
    if (!(indices instanceof Int32Array) || indices.length !== count) {
      const got = indices instanceof Int32Array ? `${indices.length} indices` : typeof indices;
      return `KV head ${head} must keep an Int32Array of ${count} indices, got ${got}`;
    }
    for (const [entry, index] of indices.entries()) {
      if (index < 0 || index >= length) {
        return `KV head ${head} keeps token ${index}, there are 0 to ${length - 1}`;
      }
      const last = indices[entry - 1];
      if (last !== undefined && index <= last) {
        return `indices of KV head ${head} must ascend and not repeat, got ${index} after ${last}`;
      }
    }
  }
}
