import { assertEquals } from "@std/assert";
import { full } from "../../../policies/full.ts";
import { greedyToken } from "../../../runtime/sampling/greedy.ts";
import { tinyModel } from "../../_test_model.ts";

Deno.test("session.write() gives what generate() draws from", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const ids = Array.from({ length: 20 }, (_, index) => index + 2);
  await using expected = model.session({ policy: full() });
  const answer = expected.generate({ ids }, { maxTokens: 6 });
  for await (const _ of answer) continue;
  await using session = model.session({ policy: full() });
  await session.read({ ids });
  const source = session.write();
  let { logits } = await source.begin();
  const written: number[] = [];
  for (;;) {
    const id = greedyToken(logits);
    written.push(id);
    source.sampled(id);
    if (written.length === answer.ids.length || !(await source.hasRoom())) break;
    logits = await source.advance();
  }
  await source.end?.();
  assertEquals(written, [...answer.ids]);
  assertEquals(session.ids, [...ids, ...written]);
});
