import { assert, assertEquals } from "@std/assert";
import { runLoad } from "../../../bench/serve/load.ts";
import { OverloadedError } from "../../../server/scheduler/errors.ts";
import { fakeScheduler, type Script } from "../../server/_fake_scheduler.ts";
import { testServer } from "../../server/_running_server.ts";

async function load(script: () => Script, seconds = 0.5) {
  const scheduler = fakeScheduler(script);
  await using server = await testServer(scheduler);
  let state = 1;
  return await runLoad({
    url: server.url,
    clients: 5,
    seconds,
    text: "It was early in April. ".repeat(300),
    maxTokens: 4,
    random: () => (state = state * 16_807 % 2_147_483_647) / 2_147_483_647,
    now: () => performance.now(),
  });
}

Deno.test("a load counts answers, tokens, those that were left, and the times between", async () => {
  const result = await load(() => ({ answers: [["a", "b", "c", "d"]] }));
  assert(result.answered > 5 && result.left > 0, JSON.stringify(result));
  assertEquals(result.errors, []);
  assert(result.tokens > result.answered * 4);
  assertEquals(result.first.length + result.between.length, result.tokens);
});

Deno.test("a load waits where it is refused, and tells what else goes wrong", async () => {
  let asked = 0;
  const busy = await load(() => asked++ < 3 ? { refuse: new OverloadedError("busy", 1) } : {}, 1.5);
  assertEquals([busy.refused, busy.errors], [3, []]);
  const broken = await load(() => ({ fail: { after: 1, error: new Error("a bug") } }));
  assert(broken.errors.length > 0);
  const hanging = await load(() => ({ hang: "decoding" }));
  assertEquals([hanging.answered, hanging.errors], [0, []]);
});
