import type { PolicyAbout } from "./_options.ts";
import { suggest } from "./_suggest.ts";
import { type Evidence, type MaybePromise, OptionError, type Policy } from "./policy.ts";
import { type PolicyName, registry } from "./registry.ts";

/** What a policy file exports. */
export interface PolicyModule {
  /** Makes the policy; throws an {@linkcode OptionError} where it refuses an option. */
  default(options?: object): MaybePromise<Policy>;
  /** What the registry is generated from. */
  readonly about: Pick<PolicyAbout<unknown>, "name" | "summary" | "paper">;
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
  /** What the runtime gathers for it. */
  readonly evidence: Evidence["kind"];
  /** Its options. */
  readonly options: readonly OptionEntry[];
  /** Imports it. */
  readonly load: () => Promise<PolicyModule>;
}

/**
 * Makes a policy by name.
 *
 * @param name Name in the registry; `judge-q` is as good as `judge_q`.
 * @param options The policy's options.
 * @throws {OptionError} If there is no such policy, or it refuses an option.
 *
 * @example
 * ```ts
 * import { createPolicy } from "./create.ts";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const policy = await createPolicy("streaming-llm", { sinks: 2 });
 * assertEquals(policy.options, { sinks: 2 });
 * await assertRejects(() => createPolicy("snapvk"), RangeError, "did you mean 'snapkv'?");
 * ```
 */
export async function createPolicy(name: string, options: object = {}): Promise<Policy> {
  const { default: create } = await findPolicy(name).load();
  return await create(options);
}

/**
 * Looks a policy up in the registry, without loading it.
 *
 * @throws {OptionError} If there is no such policy.
 *
 * @example
 * ```ts
 * import { findPolicy } from "./create.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(findPolicy("judge-q").evidence, "soft");
 * ```
 */
export function findPolicy(name: string): PolicyEntry {
  const wanted = name.trim().toLowerCase().replaceAll("-", "_");
  if (isPolicyName(wanted)) return registry[wanted];
  const names = Object.keys(registry);
  throw new OptionError(
    `Cannot find policy '${name}'${suggest(name, names)} There are ${names.join(", ")}; ` +
      "a file is given by its path, as in ./mine.ts",
  );
}

function isPolicyName(name: string): name is PolicyName {
  return Object.hasOwn(registry, name);
}
