import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHostCache } from "../../../runtime/cache/host_cache.ts";
import type { StepResult } from "../../../runtime/engine/engine.ts";
import { createTurns } from "../../../server/scheduler/turns.ts";

/** An engine whose steps and chunks take time on a clock of their own. */
function fakeEngine(stepTime: number) {
  let clock = 0;
  const done: string[] = [];
  const cache = createHostCache({ layers: 1, kvHeads: 1, headDim: 1 });
  const sequence = { cache, position: 1, planned: 1 };
  const result: StepResult = { logits: Float32Array.of(1), attentionSums: [], queries: [] };
  const turns = createTurns(
    {
      advance: () => Promise.resolve(result),
      together(next) {
        clock += stepTime;
        done.push(`write ${next.length}`);
        return Promise.resolve(next.map(({ id }) => Float32Array.of(id)));
      },
    },
    8,
    () => clock,
  );
  const chunk = (name: string, time: number) =>
    turns.read(() => {
      clock += time;
      done.push(name);
      return Promise.resolve(name);
    });
  return { turns, done, sequence, chunk };
}

Deno.test("all who write share a step, each gets its own logits", async () => {
  const { turns, done, sequence } = fakeEngine(1);
  const logits = await Promise.all([5, 6, 7].map((id) => turns.write({ sequence, id })));
  assertEquals(logits.map(([first]) => first), [5, 6, 7]);
  assertEquals(done, ["write 3"]);
  assertEquals(turns.counts, { steps: 1, stepTokens: 3 });
});

Deno.test("a short prompt need not wait until a long one is read", async () => {
  const { done, chunk } = fakeEngine(1);
  const long = (async () => {
    for (let part = 0; part < 10; part++) await chunk("long", 100);
  })();
  await chunk("short", 100);
  assert(done.length <= 2, done.join());
  await long;
});

Deno.test("who reads and who writes get half of the time each", async () => {
  const { turns, done, sequence, chunk } = fakeEngine(10);
  let reading = true;
  const write = async () => {
    using _writer = turns.writer();
    while (reading) await turns.write({ sequence, id: 1 });
  };
  const writers = Promise.all([write(), write()]);
  for (let part = 0; part < 5; part++) await chunk("chunk", 100);
  reading = false;
  await writers;
  const steps = done.filter((one) => one === "write 2").length;
  // A chunk takes ten times as long as a step.
  assert(steps >= 35 && steps <= 65, `${steps} steps beside 5 chunks`);
});

Deno.test("work that fails fails for who asked for it alone", async () => {
  const { turns, chunk } = fakeEngine(1);
  const failing = turns.read(() => Promise.reject(new RangeError("no")));
  const other = chunk("other", 1);
  await assertRejects(() => failing, RangeError, "no");
  assertEquals(await other, "other");
});
