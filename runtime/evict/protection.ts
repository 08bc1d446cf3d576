import type { LayerView, Protection, ScorerPolicy } from "../../policies/policy.ts";
import { BudgetError, PolicyError } from "../errors.ts";
import { kindOf } from "./scores.ts";

/**
 * How many of the first and last tokens of a layer a policy always keeps.
 *
 * @param keep Tokens per KV head that are kept.
 * @throws {PolicyError} If the policy breaks its contract.
 * @throws {BudgetError} If it protects more than may be kept of what there is.
 */
export async function protectedTokens(
  policy: ScorerPolicy,
  view: Pick<LayerView, "layer" | "length">,
  keep: number,
): Promise<Required<Protection>> {
  const { layer, length } = view;
  const { sinks, recent } = await protectionOf(policy, view, keep);
  if (sinks + recent > keep && keep < length) {
    throw new BudgetError(
      `Cannot keep ${keep} of ${length} tokens in layer ${layer} with policy '${policy.name}': it ` +
        `always keeps ${sinks + recent} (${sinks} first, ${recent} last); give a budget of at ` +
        `least ${sinks + recent} tokens or let the policy protect fewer`,
    );
  }
  // A KV head that was left fewer tokens than are protected keeps them all.
  const first = Math.min(sinks, length);
  return { sinks: first, recent: Math.min(recent, length - first) };
}

/**
 * What a policy protects, whether there is room for it or not.
 *
 * @throws {PolicyError} If the policy breaks its contract.
 */
export async function protectionOf(
  policy: ScorerPolicy,
  { layer, length }: Pick<LayerView, "layer" | "length">,
  keep: number,
): Promise<Required<Protection>> {
  const { protect = {} } = policy;
  const given = typeof protect === "function"
    ? await protect(Math.min(keep, length), length)
    : protect;
  if (typeof given !== "object" || given === null) {
    throw new PolicyError(
      `Policy '${policy.name}' broke its contract in layer ${layer}: 'protect' must give an object ` +
        `like { sinks: 4, recent: 32 }, got ${kindOf(given)}`,
    );
  }
  const { sinks = 0, recent = 0 } = given;
  for (const [kind, count] of Object.entries({ sinks, recent })) {
    if (!Number.isInteger(count) || count < 0) {
      throw new PolicyError(
        `Policy '${policy.name}' broke its contract in layer ${layer}: '${kind}' of what it protects ` +
          `must be an integer of at least 0, got ${count}`,
      );
    }
  }
  return { sinks, recent };
}
