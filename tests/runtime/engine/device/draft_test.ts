import { assertEquals } from "@std/assert";
import { greedyAnswer } from "../../../../runtime/evidence/greedy.ts";
import { testProvider } from "../../../_device.ts";
import { twinModel } from "../../../_device_model.ts";
import { newSequence, randomIds } from "../../../_test_model.ts";

const STEPS = 7;

/** Where steps are captured, some of them are run ahead. */
const CLOCKS = testProvider() === "webgpu" ? [undefined, () => 0] : [undefined];

for (const now of CLOCKS) {
  Deno.test(
    `a draft's ids are those of main memory, and its logits stay${now ? ", run ahead" : ""}`,
    async () => {
      await using twin = await twinModel("tiny-llama", now ? { now } : {});
      const { engine, device } = twin.there;
      const drafts: number[][] = [];
      let logits = 0;
      device.onCrossing = (one) => logits += /logits/.test(one.name) ? one.bytes : 0;
      for (const home of [twin.host.model.engine, engine]) {
        for (const seed of [4, 5]) {
          const sequence = newSequence(home);
          using cache = sequence.cache;
          const read = await home.advance(sequence, { ids: randomIds(20, 320, seed) });
          const before = logits;
          const start = { engine: home, sequence, logits: read.logits, steps: STEPS };
          drafts.push(await greedyAnswer(start));
          assertEquals(logits, before, "bytes of logits");
          assertEquals(cache.length(0), 20, "it leaves no trace");
        }
      }
      assertEquals(drafts.slice(2), drafts.slice(0, 2));
      assertEquals(drafts.map(({ length }) => length > 1), [true, true, true, true]);
    },
  );
}
