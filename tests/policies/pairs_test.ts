import { assert, assertEquals } from "@std/assert";
import { CHECKS } from "../../plugins/conformance/checks.ts";
import { createPrng } from "../../policies/_random.ts";
import { OptionError, type Policy, type ScorerPolicy } from "../../policies/policy.ts";
import { registry } from "../../policies/registry.ts";

type Factory = (options?: object) => Promise<Policy>;

interface Entry {
  readonly name: string;
  readonly create: Factory;
  /** Whether it wraps another policy. */
  readonly wraps: boolean;
}

const entries: readonly Entry[] = await Promise.all(
  Object.values(registry).map(async ({ name, load }) => {
    const { default: make } = await load();
    const create: Factory = async (options) => await make(options);
    const { options = {} } = await create();
    return { name, create, wraps: "inner" in options };
  }),
);

/** Windows that leave room in the budgets of the checks. */
const SMALL: readonly object[] = [{ window: 8 }, { lag: 8 }, {}];

/** A policy, small enough for the layers of the checks. */
async function small({ create }: Entry, inner?: ScorerPolicy): Promise<Policy> {
  let refused: unknown;
  for (const options of SMALL) {
    try {
      return await create(inner ? { inner } : options);
    } catch (error) {
      refused = error;
      if (inner) break;
    }
  }
  throw refused;
}

/** Runs every check on a nesting; gives the reason where the wrapper refuses the inner policy. */
async function check(name: string, make: () => Promise<Policy>): Promise<string | undefined> {
  let refused: string | undefined;
  try {
    await make();
  } catch (error) {
    assert(error instanceof OptionError, `${name}: ${error}`);
    refused = error.message;
  }
  if (refused !== undefined) return refused;
  for (const { title, advice, run } of CHECKS) {
    // Options are the affair of each policy alone.
    if (advice) continue;
    const problem = await run((options) => {
      assertEquals(options, undefined);
      return make();
    });
    assertEquals(problem, undefined, `${name} ${title}`);
  }
}

const inners = entries.filter(({ wraps }) => !wraps);
const wrappers = entries.filter(({ wraps }) => wraps);

for (const wrapper of wrappers) {
  Deno.test(`${wrapper.name} around every policy holds what a policy holds, or says why not`, async () => {
    const refusals: string[] = [];
    for (const entry of [...inners, ...wrappers]) {
      const name = `${wrapper.name}(${entry.name})`;
      const make = async () => await small(wrapper, await small(entry) as ScorerPolicy);
      const reason = await check(name, make);
      if (reason === undefined) continue;
      assert(/^Cannot (wrap|compose|make|use) .+: .+|must be/.test(reason), `${name}: ${reason}`);
      refusals.push(`${name}: ${reason}`);
    }
    assert(refusals.length < inners.length, "it wraps hardly anything");
    console.log(refusals.join("\n"));
  });
}

Deno.test("three policies in one another hold what a policy holds, or say why not", async () => {
  const next = createPrng(20261124, 3);
  const draw = (list: readonly Entry[]): Entry => {
    const entry = list[Math.floor(next() * list.length)];
    assert(entry);
    return entry;
  };
  let held = 0;
  for (let round = 0; round < 40; round++) {
    const [outer, middle, inner] = [draw(wrappers), draw(wrappers), draw(inners)];
    const make = async () =>
      await small(
        outer,
        await small(middle, await small(inner) as ScorerPolicy) as ScorerPolicy,
      );
    if (await check(`${outer.name}(${middle.name}(${inner.name}))`, make) === undefined) held++;
  }
  assert(held >= 20, `${held} of 40 nestings hold`);
});
