import { assert, assertEquals } from "@std/assert";
import { snapKv } from "../../../../policies/mod.ts";
import { largestDifference } from "../../../_close.ts";
import { testProvider } from "../../../_device.ts";
import { twinModel } from "../../../_device_model.ts";
import { randomIds } from "../../../_test_model.ts";
import { probed } from "../../../_vulkan.ts";

const report = (await probed()).find(({ provider }) => provider === testProvider());

Deno.test({
  name: "on a device, 16-bit floats halve the cache and keep nearly the same tokens" +
    (report?.fp16 ? "" : " (skipped: the device has none)"),
  ignore: !report?.fp16,
  async fn() {
    for (const name of ["tiny-llama", "tiny-qwen3"]) {
      await using twin = await twinModel(name, { half: true });
      const { layers, kvHeads, headDim, vocabulary } = twin.there.engine.config;
      const ids = randomIds(60, vocabulary, 8);
      const options = { policy: snapKv({ window: 8, kernel: 3 }), budget: 20 };
      await using here = twin.host.model.session(options);
      await using there = twin.session(options);
      const [expected, found] = [await here.read({ ids }), await there.read({ ids })];
      const scale = Math.max(...expected.logits.map(Math.abs));
      assert(largestDifference(found.logits, expected.logits) < 0.02 * scale);
      assertEquals(found.bytes.after, layers * kvHeads * 20 * (2 * headDim * 2 + 4));
      // A budget in bytes holds as many more tokens.
      const bytes = layers * kvHeads * 20 * (2 * headDim * 2 + 4);
      await using inBytes = twin.session({ ...options, budget: { bytes } });
      assertEquals((await inBytes.read({ ids })).kept, found.kept);
      let shared = 0;
      for (const [layer, heads] of expected.kept.entries()) {
        for (const [head, indices] of heads.entries()) {
          const others = new Set(found.kept[layer]?.[head]);
          shared += indices.filter((index) => others.has(index)).length;
        }
      }
      assert(shared >= 0.95 * layers * kvHeads * 20, `${shared} tokens are the same`);
      const generation = there.generate({ maxTokens: 4 });
      for await (const _ of generation);
      assertEquals(generation.ids.length, 4);
    }
  },
});
