/**
 * Policies from files and URLs.
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
