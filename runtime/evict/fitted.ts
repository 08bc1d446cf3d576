import type { ModelFacts, Policy } from "../../policies/policy.ts";

/** The policy as it is for a model: itself, unless it judges by what was made for that. */
export async function fittedTo(policy: Policy, facts: ModelFacts): Promise<Policy> {
  return await policy.forModel?.(facts) ?? policy;
}
