import { assert, assertEquals, assertRejects } from "@std/assert";
import { PolicyError } from "../../../runtime/errors.ts";
import { RequestTimeoutError } from "../../../server/scheduler/errors.ts";
import type { Scheduler } from "../../../server/scheduler/scheduler.ts";
import { collectedMemory } from "../../_held_memory.ts";
import { idsRequest, outcomeOf, someIds, testScheduler } from "./_test_scheduler.ts";

/** A policy in a file of its own, whose scores are as a text says. */
async function policyFile(score: string): Promise<{ path: string } & AsyncDisposable> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/policy.ts`;
  await Deno.writeTextFile(
    path,
    `export default () => ({ name: "strange", evidence: { kind: "none" }, score: ${score} });`,
  );
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

async function idle(scheduler: Scheduler): Promise<void> {
  while (scheduler.stats().running > 0) await new Promise((resolve) => setTimeout(resolve, 10));
}

for (
  const [what, score, error] of [
    ["throws", "() => { throw new Error('no'); }", PolicyError],
    ["lies about its sizes", "() => new Float32Array(3)", PolicyError],
    [
      "gives no numbers",
      "({ length, kvHeads }) => new Float32Array(length * kvHeads).fill(NaN)",
      PolicyError,
    ],
  ] as const
) {
  Deno.test(`a policy that ${what} fails its request alone`, async () => {
    await using file = await policyFile(score);
    await using test = await testScheduler();
    const { scheduler } = test;
    const eviction = { policy: file.path, budget: 16 };
    const [failed, other] = await Promise.allSettled([
      outcomeOf(scheduler, idsRequest(someIds(60), { eviction })),
      outcomeOf(scheduler, idsRequest(someIds(60, 1))),
    ]);
    assert(failed.status === "rejected" && failed.reason instanceof error, String(failed));
    assertEquals(other.status, "fulfilled");
    await idle(scheduler);
    assertEquals((await outcomeOf(scheduler, idsRequest(someIds(9)))).answers[0]?.length, 8);
  });
}

Deno.test("a policy that hangs ends with its request's time, and lets others go on", async () => {
  await using file = await policyFile("() => { for (;;); }");
  await using test = await testScheduler();
  const { scheduler } = test;
  const eviction = { policy: file.path, budget: 16 };
  const hanging = outcomeOf(scheduler, idsRequest(someIds(60), { eviction, timeout: 6000 }));
  const refused = assertRejects(() => hanging, RequestTimeoutError);
  const other = await outcomeOf(scheduler, idsRequest(someIds(60, 1)));
  assertEquals(other.answers[0]?.length, 8);
  await refused;
  // It would hang for ever: that this comes back is the point.
  await idle(scheduler);
});

Deno.test("memory is flat after 200 requests", async () => {
  await using test = await testScheduler({ cacheMemory: 2 ** 22 });
  const { scheduler } = test;
  const run = async (from: number, to: number) => {
    for (let seed = from; seed < to; seed += 4) {
      await Promise.all(Array.from({ length: 4 }, (_, index) => {
        const eviction = index % 2 ? { policy: "snapkv(window=8)", budget: 32 } : false;
        const ids = someIds(60 + (seed + index) % 50, seed + index);
        return outcomeOf(
          scheduler,
          idsRequest(ids, { eviction, maxTokens: 4, choices: 1 + index % 2 }),
        );
      }));
    }
  };
  await run(0, 280);
  const before = await collectedMemory();
  await run(280, 480);
  const grown = await collectedMemory() - before;
  assert(grown < 32 * 2 ** 20, `${grown} bytes more`);
  assert(scheduler.stats().cacheBytes <= 2 ** 22);
  assertEquals([scheduler.stats().running, scheduler.stats().waiting], [0, 0]);
});
