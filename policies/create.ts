import type { PolicyEntry } from "./_entry.ts";
import { suggest } from "./_suggest.ts";
import { OptionError, type Policy } from "./policy.ts";
import { type PolicyName, registry } from "./registry.ts";

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
  if (typeof name !== "string") {
    throw new OptionError(
      `Cannot find a policy: its name must be a text such as 'snapkv', got ${typeof name}; a policy that is made already is used as it is`,
    );
  }
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
