import type { Policy } from "../../policies/policy.ts";
import {
  type Budget,
  checkBudget,
  isPerLayer,
  isRatio,
  keepCount,
  type UniformBudget,
} from "./budget.ts";
import type { BudgetShape } from "../cache/bytes_per_token.ts";
import { BudgetError, PolicyError } from "../errors.ts";
import { raisedToFloor } from "./floor.ts";

/** What {@linkcode keepPerLayer} divides. */
export interface KeepRequest {
  /** Cached tokens per KV head. */
  readonly length: number;
  /** How much is kept, of the whole cache or of each global layer. */
  readonly budget: Budget;
  /** Layers and sizes of the cache. */
  readonly shape: BudgetShape;
  /**
   * Which budgets keep what a policy protects where they come to fewer tokens than that, instead of being
   * refused: a ratio does not mean the length that it meets, tokens and bytes do. @default {"none"}
   */
  readonly raise?: "none" | "ratios" | "all";
  /** Tokens that stay in any case. @default {0} */
  readonly pinned?: number;
  /** Soft tokens that join what is kept, and count towards the budget. @default {0} */
  readonly restored?: number;
}

/** Entries of a KV head that stay in any case; beside soft tokens, one token at least. */
export function staysAnyway(
  { pinned = 0, restored = 0 }: Pick<KeepRequest, "pinned" | "restored">,
): number {
  return restored > 0 ? Math.max(1, pinned) + restored : pinned;
}

/**
 * Tokens that each KV head keeps, per global layer: layers that slide are never evicted.
 *
 * A budget given per layer stands as it is; otherwise the policy's allocator, where it has one,
 * divides it and must give out exactly the total. A budget of at least the length keeps everything.
 *
 * @returns One integer per global layer, from 1 to `length`.
 * @throws {BudgetError} If the budget is out of range or has the wrong number of layers.
 * @throws {PolicyError} If the policy's allocator breaks its contract.
 *
 * @example
 * ```ts
 * import { keepPerLayer } from "./allocate.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = {
 *   name: "early",
 *   evidence: { kind: "none" },
 *   score: () => new Float32Array(0),
 *   allocate: () => [30, 10],
 * } as const;
 * const shape = { layers: 2, kvHeads: 1, headDim: 8 };
 * assertEquals(await keepPerLayer(policy, { length: 100, budget: 20, shape }), [30, 10]);
 * assertEquals(await keepPerLayer(policy, { length: 100, budget: [5, 7], shape }), [5, 7]);
 * ```
 */
export async function keepPerLayer(
  policy: Policy,
  request: KeepRequest,
): Promise<readonly number[]> {
  const { length, budget, shape, raise = "none", pinned = 0, restored = 0 } = request;
  const { layers, sliding } = shape;
  checkBudget(budget);
  const raises = (one: Budget) => raise === "all" || (raise === "ratios" && isRatio(one));
  const stays = staysAnyway({ pinned, restored });
  const floor = (keep: number) => raisedToFloor(policy, { keep, length, pinned: stays });
  const count = async (amount: UniformBudget, of: BudgetShape) => {
    const keep = keepCount(length, amount, of);
    return raises(amount) ? await floor(keep) : keep;
  };
  // A model whose layers all slide has nothing to evict.
  if (layers === 0) return [];
  if (policy.evicts === false) return new Array<number>(layers).fill(length);
  if (isPerLayer(budget)) {
    if (budget.length !== layers) {
      throw new BudgetError(
        `Cannot use a budget for ${budget.length} layers: the model has ${layers}` +
          `${
            sliding ? " global ones, the others slide and are not evicted" : ""
          }; give one for each ` +
          `${sliding ? "global " : ""}layer or one for all`,
      );
    }
    const { sliding: _, ...one } = { ...shape, layers: 1 };
    return await Promise.all(budget.map((amount) => count(amount, one)));
  }
  const keep = await count(budget, shape);
  if (keep >= length || policy.allocate === undefined) return new Array<number>(layers).fill(keep);
  const allocated = await policy.allocate({ layers, length, budget: keep });
  const problem = findProblem(allocated, layers, length, keep);
  if (problem !== undefined) {
    throw new PolicyError(`Policy '${policy.name}' broke its contract: ${problem}`);
  }
  return raises(budget) ? await Promise.all(allocated.map(floor)) : [...allocated];
}

function findProblem(
  allocated: readonly number[],
  layers: number,
  length: number,
  keep: number,
): string | undefined {
  if (!Array.isArray(allocated) || allocated.length !== layers) {
    const got = Array.isArray(allocated) ? allocated.length : typeof allocated;
    return `'allocate' must give one number for each of ${layers} layers, got ${got}`;
  }
  for (const [layer, count] of allocated.entries()) {
    if (!Number.isInteger(count) || count < 1 || count > length) {
      return `'allocate' must give integers from 1 to ${length}, got ${count} for layer ${layer}`;
    }
  }
  const total = allocated.reduce((sum, count) => sum + count, 0);
  if (total !== layers * keep) {
    return `'allocate' must give out ${layers} × ${keep} = ${
      layers * keep
    } tokens, it gave ${total}`;
  }
}
