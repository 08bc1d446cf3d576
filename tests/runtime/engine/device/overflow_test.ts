import { assert, assertRejects } from "@std/assert";
import { openCheckpoint } from "../../../../runtime/checkpoint/open.ts";
import { openDeviceEngine } from "../../../../runtime/engine/device/open_device_engine.ts";
import { DeviceError } from "../../../../runtime/errors.ts";
import { stepModel } from "../../../../runtime/weights/step_model.ts";
import { writeFolder } from "../../../_random_checkpoint.ts";
import { testProvider } from "../../../_device.ts";
import { probed } from "../../../_vulkan.ts";
import { withFolder } from "../../../_temp_folder.ts";
import { newSequence } from "../../../_test_model.ts";

/** What is added to the residual: the norms divide by it, so that exact logits stay the same. */
const GROWING = /embed_tokens|o_proj|down_proj/;

const report = (await probed()).find(({ provider }) => provider === testProvider());

for (const scale of [1, 100_000]) {
  Deno.test({
    name: `16-bit floats of a residual × ${scale} are ${
      scale === 1 ? "right" : "refused, never given"
    }`,
    ignore: !report?.fp16,
    async fn() {
      await withFolder(async (folder) => {
        await writeFolder(folder, { layers: 2 }, {
          edit(tensors) {
            for (const [name, { data }] of tensors) {
              if (GROWING.test(name)) data.forEach((value, index) => data[index] = value * scale);
            }
          },
        });
        const { config, ...checkpoint } = await openCheckpoint(folder, { home: folder });
        const model = await stepModel({ config, ...checkpoint }, {
          precision: "fp32",
          home: folder,
        });
        await using opened = await openDeviceEngine(model, {
          ...{ provider: testProvider(), config, threads: 1, half: true },
          readOutput: () => new Float32Array(),
        });
        const { engine, device } = opened;
        const sequence = newSequence(engine);
        using _cache = sequence.cache;
        const advance = () => engine.advance(sequence, { ids: [3, 1, 4], observe: true });
        if (scale === 1) {
          const { logits, attentionSums } = await advance();
          attentionSums.forEach((rows) => rows[Symbol.dispose]());
          assert(logits.every(Number.isFinite));
          return;
        }
        await assertRejects(advance, DeviceError, "65504; set 'device' to cpu");
        const held = device.usage.tensors;
        await assertRejects(advance, DeviceError);
        assert(device.usage.tensors <= held, "what a refused step made is freed");
      });
    },
  });
}
