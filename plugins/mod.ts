/**
 * Policies from files and URLs.
 *
 * @module
 */
export {
  type LoadedPolicy,
  loadPolicy,
  type LoadPolicyOptions,
  type PolicyDefaults,
} from "./load_policy.ts";
