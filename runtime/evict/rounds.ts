import type { Policy } from "../../policies/policy.ts";
import { BudgetError } from "../errors.ts";
import { keepPerLayer, type KeepRequest, staysAnyway } from "./allocate.ts";
import { isRatio } from "./budget.ts";

/** A policy, and what it leaves of what the rounds before it left. */
export interface Round {
  readonly policy: Policy;
  /** Tokens per KV head, one number per global layer. */
  readonly keep: readonly number[];
}

/**
 * The rounds in which a policy evicts: one, or more where others evict first. A policy that gives a layer
 * less than what is pinned gives it that.
 *
 * @param held Tokens that each global layer holds.
 * @throws {BudgetError} If the budget is out of range or below what is pinned, or a policy that evicts
 * first leaves less.
 * @throws {PolicyError} If an allocator breaks its contract.
 */
export async function roundsOf(
  policy: Policy,
  request: KeepRequest,
  held: readonly number[],
): Promise<readonly Round[]> {
  const { restored = 0 } = request;
  const divided = await keepPerLayer(policy, request);
  const fits = divided.every((count, layer) => count >= (held[layer] ?? 0));
  if (!fits && restored > 0) checkRestored(policy, restored, divided);
  const share = fits ? divided : raisedTo(staysAnyway(request), divided);
  // Where all layers share a budget, one that holds less leaves its share to the others.
  const shared = "score" in policy && policy.acrossLayers === true;
  const keep = share.map((count, layer) => {
    const left = count - (fits ? 0 : restored);
    return shared ? left : Math.min(left, held[layer] ?? 0);
  });
  const { first } = policy;
  const last = { policy, keep };
  if (!first || keep.every((count, layer) => count >= (held[layer] ?? 0))) return [last];
  const { length } = request;
  const { factor = 1, tokens } = first;
  const mean = share.reduce((sum, count) => sum + count, 0) / share.length;
  if (tokens !== undefined && tokens < mean) {
    throw new BudgetError(
      `Cannot evict to ${
        Math.ceil(mean)
      } tokens with policy '${policy.name}': '${first.policy.name}' ` +
        `is to leave ${tokens} before; give a budget of at most ${tokens}, or let it leave more`,
    );
  }
  const scaled = (count: number) => ({ tokens: Math.min(length, Math.ceil(count * factor)) });
  const budget = tokens !== undefined
    ? { tokens }
    : first.policy.allocate
    ? scaled(mean)
    : share.map(scaled);
  const { raise = "none" } = request;
  const before = await roundsOf(
    first.policy,
    {
      ...request,
      budget,
      restored: 0,
      raise: raise === "ratios" && isRatio(request.budget) ? "all" : raise,
    },
    held,
  );
  // Layers are divided by each policy in its own way: nothing is left to evict twice.
  const enough = before.map((round) => ({
    ...round,
    keep: round.keep.map((count, layer) => Math.max(count, keep[layer] ?? 0)),
  }));
  return [...enough, last];
}

/** Refuses a budget that soft tokens would fill. */
function checkRestored({ name }: Policy, restored: number, share: readonly number[]): void {
  const mean = Math.floor(share.reduce((sum, count) => sum + count, 0) / share.length);
  if (mean > restored) return;
  throw new BudgetError(
    `Cannot evict to ${mean} tokens with policy '${name}': its ${restored} soft tokens stay and count ` +
      `towards the budget; give one of at least ${restored + 1}, or use fewer soft tokens`,
  );
}

/** Gives each layer at least that many tokens; the largest shares give them up. */
function raisedTo(min: number, share: readonly number[]): readonly number[] {
  let missing = share.reduce((sum, count) => sum + Math.max(0, min - count), 0);
  const raised = share.map((count) => Math.max(count, min));
  while (missing > 0) {
    const max = Math.max(...raised);
    if (max <= min) {
      const mean = Math.floor(share.reduce((sum, count) => sum + count, 0) / share.length);
      throw new BudgetError(
        `Cannot keep ${min} protected tokens within a budget of ${mean}: the system message and ` +
          "what else is protected must fit; give a larger budget or protect fewer tokens",
      );
    }
    raised[raised.indexOf(max)] = max - 1;
    missing--;
  }
  return raised;
}

/** The policies of all rounds, in their order. */
export function policiesOf(policy: Policy): readonly Policy[] {
  return policy.first ? [...policiesOf(policy.first.policy), policy] : [policy];
}

/** The policy of its rounds, if any, that judges by numbers which tokens that stay take along. */
export function accumulating(policy: Policy): Policy | undefined {
  return policiesOf(policy).find(({ evidence: { kind } }) =>
    kind === "accumulated" || kind === "predicted"
  );
}

/** Whether a policy judges by scores that are predicted when a token is read, and at no other time. */
export function predicts(policy: Policy): boolean {
  return policiesOf(policy).some(({ evidence }) => evidence.kind === "predicted");
}
