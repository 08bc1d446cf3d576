import type { Policy, ScorerPolicy } from "../policies/policy.ts";
import { registry } from "../policies/registry.ts";

/** A built-in policy and its name. */
export interface SmallPolicy {
  readonly name: string;
  readonly policy: Policy;
  /** Whether it wraps another policy. */
  readonly wraps: boolean;
}

/** Options that leave room in small budgets; the first that a policy takes are used. */
const SMALL: readonly object[] = [{ window: 8, kernel: 3 }, { window: 8 }, { lag: 8 }, {}];

/**
 * Every built-in policy, small enough for prompts of some dozen tokens.
 *
 * @param inner What wrappers wrap. @default {what each wraps by itself, made small}
 */
export async function smallPolicies(inner?: ScorerPolicy): Promise<readonly SmallPolicy[]> {
  const { default: snapKv } = await registry.snapkv.load();
  const wrapped = inner ?? await snapKv({ window: 8, kernel: 3 });
  const all: SmallPolicy[] = [];
  for (const { name, load } of Object.values(registry)) {
    const { default: create } = await load();
    const { options = {} } = await create();
    const wraps = "inner" in options;
    let refused: unknown;
    const nested = [{ inner: wrapped, second: wrapped }, { inner: wrapped }];
    for (const small of wraps ? nested : SMALL) {
      try {
        all.push({ name, wraps, policy: await create(small) });
        refused = undefined;
        break;
      } catch (error) {
        refused = error;
      }
    }
    if (refused !== undefined) throw refused;
  }
  return all;
}
