/**
 * The eviction policies, and what it takes to write one.
 *
 * @example
 * ```ts
 * import { createPolicy, snapKv } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals((await createPolicy("snapkv")).options, snapKv().options);
 * ```
 *
 * @module
 */
export type { OptionEntry, PolicyEntry, PolicyModule } from "./_entry.ts";
export type { OptionsOf, OptionSpec, OptionValue, OptionValues, PolicyAbout } from "./_options.ts";
export type { Pooling } from "./_pool.ts";
export { POLICY_MEMBERS, policyMembers } from "./contract/members.ts";
export { createPolicy, findPolicy } from "./create.ts";
export * from "./_factories.ts";
export * from "./policy.ts";
export { type PolicyName, registry } from "./registry.ts";
