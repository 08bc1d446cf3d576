import { assert, assertEquals } from "@std/assert";
import { type LoadResult, runLoad } from "../../../bench/serve/load.ts";
import { OverloadedError } from "../../../server/scheduler/errors.ts";
import { fakeScheduler, type Script } from "../../server/_fake_scheduler.ts";
import { testServer } from "../../server/_running_server.ts";

/** Asks until it was enough, which may take a busy machine a while. */
async function load(script: () => Script, enough?: (result: LoadResult) => boolean) {
  const scheduler = fakeScheduler(script);
  await using server = await testServer(scheduler);
  let state = 1;
  return await runLoad({
    url: server.url,
    clients: 5,
    seconds: enough ? 60 : 0.5,
    ...(enough ? { enough } : {}),
    text: "It was early in April. ".repeat(300),
    maxTokens: 4,
    random: () => (state = state * 16_807 % 2_147_483_647) / 2_147_483_647,
    now: () => performance.now(),
  });
}

Deno.test("a load counts answers, tokens, those that were left, and the times between", async () => {
  const result = await load(
    () => ({ answers: [["a", "b", "c", "d"]] }),
    ({ answered, left }) => answered > 5 && left > 0,
  );
  assert(result.answered > 5 && result.left > 0, JSON.stringify(result));
  assertEquals(result.errors, []);
  assert(result.tokens > result.answered * 4);
  assertEquals(result.first.length + result.between.length, result.tokens);
});

Deno.test("a load waits where it is refused, and tells what else goes wrong", async () => {
  let asked = 0;
  const busy = await load(
    () => asked++ < 3 ? { refuse: new OverloadedError("busy", 1) } : {},
    ({ answered, refused }) => answered > 0 && refused === 3,
  );
  assertEquals([busy.refused, busy.errors], [3, []]);
  const failing: Script = { fail: { after: 1, error: new Error("a bug") } };
  // Any error is enough: here it stops by itself behind a hundred.
  const broken = await load(() => failing, () => false);
  assert(broken.errors.length > 100);
  const hanging = await load(() => ({ hang: "decoding" }));
  assertEquals([hanging.answered, hanging.errors], [0, []]);
});
