import { assert, assertEquals } from "@std/assert";
import { CHECKS } from "../plugins/conformance/checks.ts";
import type { MaybePromise, Policy } from "../policies/policy.ts";

/** What {@linkcode testPolicy} tests. */
export interface Conformance {
  readonly name: string;
  readonly create: (options?: object) => MaybePromise<Policy>;
  /** Checks that do not apply, by title, each with the reason. */
  readonly skip?: Readonly<Record<string, string>>;
}

/** Registers the checks that hold for every policy, one test each. */
export function testPolicy({ name, create, skip = {} }: Conformance): void {
  for (const title of Object.keys(skip)) {
    if (!CHECKS.some((check) => check.title === title)) {
      throw new Error(`There is no check named "${title}"`);
    }
  }
  Deno.test(`${name} describes itself`, async () => {
    const policy = await create();
    assertEquals(policy.name, name);
    assert(Object.isFrozen(policy));
    assert(Object.isFrozen(policy.options));
  });
  for (const { title, run } of CHECKS) {
    const reason = skip[title];
    Deno.test({
      name: `${name} ${title}${reason === undefined ? "" : ` (skipped: ${reason})`}`,
      ignore: reason !== undefined,
      fn: async () => assertEquals(await run(async (options) => await create(options)), undefined),
    });
  }
}
