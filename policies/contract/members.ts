import type { EvictionPolicy, Policy, ScorerPolicy } from "../policy.ts";

/** Every member that a policy may have: what the type checker would miss here, wrappers would lose. */
const MEMBERS: Readonly<Record<keyof ScorerPolicy | keyof EvictionPolicy, true>> = {
  name: true,
  paper: true,
  options: true,
  evidence: true,
  evicts: true,
  phases: true,
  positions: true,
  merging: true,
  restores: true,
  first: true,
  protect: true,
  allocate: true,
  allocateHeads: true,
  acrossLayers: true,
  secondStage: true,
  evenHeads: true,
  threshold: true,
  score: true,
  select: true,
  forModel: true,
  note: true,
};

/**
 * The names of all members that a policy may have.
 *
 * @example
 * ```ts
 * import { POLICY_MEMBERS } from "./members.ts";
 * import { assert } from "@std/assert";
 *
 * assert(POLICY_MEMBERS.includes("evidence"));
 * ```
 */
export const POLICY_MEMBERS: readonly string[] = Object.keys(MEMBERS);

/**
 * The members that a policy has, for a wrapper to spread: those of a class too, and nothing else that
 * the object holds.
 *
 * @example
 * ```ts
 * import type { ScorerPolicy } from "../policy.ts";
 * import { policyMembers } from "./members.ts";
 * import { assertEquals } from "@std/assert";
 *
 * class Newest implements ScorerPolicy {
 *   readonly name = "newest";
 *   readonly evidence = { kind: "none" } as const;
 *   score({ length }: { readonly length: number }): Float32Array {
 *     return Float32Array.from({ length }, (_, index) => index);
 *   }
 * }
 * assertEquals(Object.keys(policyMembers(new Newest())), ["name", "evidence", "score"]);
 * ```
 */
export function policyMembers<Kind extends Policy>(policy: Kind): Kind {
  const members: Partial<Kind> = {};
  for (const name of POLICY_MEMBERS) {
    const member: unknown = Reflect.get(policy, name);
    if (member === undefined) continue;
    // What a class declares needs its object.
    const inherited = typeof member === "function" && !Object.hasOwn(policy, name);
    Reflect.set(members, name, inherited ? member.bind(policy) : member);
  }
  return members as Kind;
}
