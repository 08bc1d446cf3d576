import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { fuzz } from "../../../scripts/fuzz/run.ts";
import { summarise } from "../../../scripts/fuzz/summary.ts";
import type { CaseResult } from "../../../scripts/fuzz/target.ts";
import { TARGETS } from "../../../scripts/fuzz/targets.ts";

const registry = new URL("_bad_targets.ts", import.meta.url).href;

/** Cases of a target of which at least one is damaged. */
async function failures(
  target: string,
  count = 2,
  silence = 60_000,
): Promise<readonly CaseResult[]> {
  const results = await fuzz({ targets: [target], count, seed: 1, registry, silence });
  assertEquals(results.map(({ index }) => index), Array.from({ length: count }, (_, i) => i));
  return results.filter(({ outcome }) => outcome === "failed");
}

Deno.test("fuzz() ends every damaged file of every target in a result or one sentence", async () => {
  const targets = TARGETS.map(({ name }) => name);
  const results = await fuzz({ targets, count: 400, seed: 20261124 });
  assertEquals(results.filter(({ outcome }) => outcome === "failed"), []);
  assertEquals(results.length, 400);
  for (const target of targets) {
    const own = results.filter((result) => result.target === target);
    const refused = own.filter(({ outcome }) => outcome === "refused");
    assert(refused.length > own.length / 5, `${target}: only ${refused.length} were refused`);
    assert(refused.length < own.length, `${target}: all were refused`);
    assert(
      new Set(refused.map(({ message }) => message)).size > 5,
      `${target}: one reason for all`,
    );
  }
});

Deno.test("fuzz() gives the same cases for the same seed, and others for another", async () => {
  const run = async (seed: number) => {
    const results = await fuzz({ targets: ["soft-tokens"], count: 20, seed });
    return results.map(({ index, outcome, bytes }) => ({ index, outcome, bytes }));
  };
  const first = await run(5);
  assertEquals(await run(5), first);
  assert(JSON.stringify(await run(6)) !== JSON.stringify(first));
});

Deno.test("fuzz() has nothing against a program that refuses in one sentence", async () => {
  assertEquals(await failures("good", 8), []);
});

const BROKEN_PROMISES = [
  ["untyped", /^TypeError: Cannot read properties of undefined\n +at /],
  ["slow", /^takes \d{4} ms$/],
  ["hanging", /^says nothing for 2500 ms$/],
  ["greedy", /AllocationError: asks for an array of 268435456 bytes/],
  ["hoarding", /^asks for 83886080 bytes of arrays, not \d+$/],
  ["heavy", /^ends the process \(exit code \d+\): [^]*heap/],
  ["crashing", /^ends the process \(exit code 7\)/],
  ["rude", /^moves the terminal's cursor: "\\u001b\[2J"$/],
] as const;

for (const [target, message] of BROKEN_PROMISES) {
  Deno.test(`fuzz() notices what is ${target}`, async () => {
    const failed = await failures(target, 2, target === "hanging" ? 2500 : 60_000);
    assert(failed.length > 0);
    for (const { message: found = "" } of failed) assertMatch(found, message);
    assertMatch(summarise(failed), new RegExp(`^${target} +\\d+ +0 +0 +${failed.length} `, "m"));
  });
}

Deno.test("fuzz() refuses a target that cannot open its whole files", async () => {
  await assertRejects(
    () => fuzz({ targets: ["broken"], count: 2, seed: 1, registry }),
    Error,
    "Target broken does not open its whole files",
  );
});
