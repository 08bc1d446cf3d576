import type { Policy } from "../../policies/policy.ts";
import { protectionOf } from "./protection.ts";

/** A share of a budget. */
export interface Share {
  /** Tokens per KV head. */
  readonly keep: number;
  /** Cached tokens per KV head. */
  readonly length: number;
  /** Tokens that stay in any case. */
  readonly pinned: number;
}

/**
 * Tokens that a KV head keeps where its share of a budget is less: what the policy protects and what is
 * pinned, or all that there is.
 */
export async function raisedToFloor(policy: Policy, share: Share): Promise<number> {
  const { keep, length, pinned } = share;
  if (keep >= length) return keep;
  return Math.min(length, Math.max(keep, await floorOf(policy, share) + pinned));
}

/** What a policy protects, or what drafts the answer that it judges by: that has to fit as well. */
async function floorOf(policy: Policy, { keep, length }: Share): Promise<number> {
  const { evidence } = policy;
  const { sinks, recent } = "score" in policy
    ? await protectionOf(policy, { layer: 0, length }, keep)
    : { sinks: 0, recent: 0 };
  const drafted = evidence.kind === "lookahead"
    ? await floorOf(evidence.draft, { keep, length, pinned: 0 })
    : 0;
  return Math.max(sinks + recent, drafted);
}
