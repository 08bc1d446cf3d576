import type { Policy } from "../policies/policy.ts";
import { PolicyError } from "../runtime/errors.ts";
import { checkPolicy } from "./check_policy.ts";

/** Makes a policy: the default export of a plugin. A wrapper finds its policy in `options.inner`. */
export type PolicyFactory = (options?: object) => Promise<Policy>;

/**
 * What a plugin module exports, as a factory.
 *
 * @throws {PolicyError} If it has no default export, or one that is no function.
 */
export function factoryOf(module: { readonly default?: unknown }, source: string): PolicyFactory {
  const { default: create } = module;
  if (typeof create !== "function") throw noFactory(source, typeof create);
  return async (options) => {
    const policy: unknown = await create(options);
    checkPolicy(policy, source);
    return policy;
  };
}

/**
 * The error about a module that exports no factory.
 *
 * @param type What its default export is, as in `typeof`.
 */
export function noFactory(source: string, type: string): PolicyError {
  const got = type === "undefined"
    ? "it has no default export"
    : `its default export must be a function, got ${type}`;
  return new PolicyError(
    `Cannot use ${source} as a policy: ${got}; write 'export default (options) => ({ name, ` +
      "evidence, score })'",
  );
}
