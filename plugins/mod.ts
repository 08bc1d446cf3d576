/**
 * Policies from files and URLs: a file of your own is imported, a stranger's runs in a sandbox.
 *
 * @example Load a policy as it is written on a command line
 * ```ts
 * import { loadPolicy } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * await using loaded = await loadPolicy("chunk_kv(snapkv(window=8),chunk=10)");
 * assertEquals(loaded.policy.name, "chunk_kv");
 * ```
 *
 * @module
 */
export { checkPlugin, type CheckResult, type PluginReport } from "./conformance/check_plugin.ts";
export {
  type LoadedPolicy,
  loadPolicy,
  type LoadPolicyOptions,
  type OpenedPolicy,
  openPolicy,
  type PolicyDefaults,
} from "./load_policy.ts";
export type { PolicyFactory } from "./plugin.ts";
