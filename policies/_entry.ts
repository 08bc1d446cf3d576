import type { PolicyAbout } from "./_options.ts";
import type { Evidence, MaybePromise, Policy } from "./policy.ts";

/** What a policy file exports. */
export interface PolicyModule {
  /** Makes the policy; throws an {@linkcode OptionError} where it refuses an option. */
  default(options?: object): MaybePromise<Policy>;
  /** What the registry is generated from. */
  readonly about: Pick<PolicyAbout, "name" | "summary" | "paper">;
}

/** One option of a policy in the registry. */
export interface OptionEntry {
  /** Name of the option. */
  readonly name: string;
  /** What it may be, in words. */
  readonly type: string;
  /** Value when the option is absent, where that is one value. */
  readonly default?: unknown;
  /** What it does. */
  readonly about: string;
}

/** One policy in the registry. */
export interface PolicyEntry {
  /** Name, snake_case. */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Address of the paper; absent for baselines. */
  readonly paper?: string;
  /** What the runtime gathers for it; for a wrapper, for the policy that it wraps by default. */
  readonly evidence: Evidence["kind"];
  /** Its options. */
  readonly options: readonly OptionEntry[];
  /** Imports it. */
  readonly load: () => Promise<PolicyModule>;
}

/** How many policies a policy wraps: none, one, or two in a row. */
export function wrappedPolicies({ options }: PolicyEntry): number {
  return options.filter(({ name }) => name === "inner" || name === "second").length;
}
