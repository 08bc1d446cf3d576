/**
 * Lists of policies as they are written on a command line: `random,snapkv(window=32,kernel=1)`.
 *
 * @module
 */
import { splitList } from "../plugins/expression.ts";
import { loadPolicy, type LoadPolicyOptions } from "../plugins/load_policy.ts";
import { OptionError, type Policy } from "../policies/policy.ts";
import { demandText } from "../runtime/given.ts";

export type { PolicyDefaults } from "../plugins/load_policy.ts";

/** A policy, and what it is called in results. */
export interface NamedPolicy {
  /** As it was written, without spaces. */
  readonly label: string;
  /** The policy. */
  readonly policy: Policy;
}

/** How the policies of a list are loaded; their options stand in the list. */
export type PolicyListOptions = Omit<LoadPolicyOptions, "options">;

/**
 * Makes the policies of a list: names, paths and URLs, with options in parentheses as in
 * {@linkcode loadPolicy}. A policy in the first place among the options is the inner one of the policy
 * outside, as in `ada_kv(snapkv(window=8),alpha=0.2)`. A policy in a sandbox lives as long as this
 * process.
 *
 * @throws {OptionError} If the list is not written so, names a policy twice or one that does not
 * exist, or a policy refuses an option.
 * @throws {PolicyError} If a plugin cannot be loaded.
 *
 * @example
 * ```ts
 * import { parsePolicies } from "./policy_list.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const [first, second] = await parsePolicies("random, snapkv(window=8, pooling=avg)");
 * assertEquals(first?.label, "random");
 * assertEquals(second?.policy.options, { window: 8, kernel: 7, pooling: "avg" });
 * ```
 */
export async function parsePolicies(
  text: string,
  options: PolicyListOptions = {},
): Promise<readonly NamedPolicy[]> {
  demandText("read a list of policies", "it", text);
  const entries = splitList(text).map((entry) => entry.trim());
  if (entries.every((entry) => entry === "")) {
    throw new OptionError(
      "Cannot read an empty list of policies: write policies as in 'random,snapkv(window=32)'",
    );
  }
  const labels = entries.map(labelOf);
  const twice = labels.find((label, at) => labels.indexOf(label) < at);
  if (twice !== undefined) {
    throw new OptionError(`Cannot use policy '${twice}' twice in one list: leave one of them out`);
  }
  const named: NamedPolicy[] = [];
  for (const [at, entry] of entries.entries()) {
    const { policy } = await loadPolicy(entry, options);
    named.push({ label: labels[at] ?? entry, policy });
  }
  return named;
}

/** Spaces outside quotes say nothing. */
function labelOf(entry: string): string {
  return (entry.match(/"(?:\\.|[^"\\])*"|[^"\s]+/g) ?? []).join("");
}
