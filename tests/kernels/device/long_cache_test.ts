import { assertEquals } from "@std/assert";
import { createDeviceStepKernel } from "../../../kernels/device/device_step.ts";
import type { SlottedLayer } from "../../../kernels/device/step_kernel.ts";
import { createRowKernels } from "../../../kernels/device/row_kernels.ts";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { rotaryTables } from "../../../runtime/rotary/rotary_tables.ts";
import { stepModel } from "../../../runtime/weights/step_model.ts";
import { assertClose } from "../../_close.ts";
import { testDevice, testProvider } from "../../_device.ts";
import { fixture } from "../../_test_model.ts";

/** Slots that are many. A GPU in software takes twelve seconds for as many as are on a real one. */
const LONG = testProvider() === "webgpu" ? 256 : 16_384;

Deno.test("observed steps give the same behind a long cache, where another graph computes them", async () => {
  const home = await Deno.makeTempDir();
  try {
    const checkpoint = await openCheckpoint(fixture("tiny-llama"), { home });
    const model = await stepModel(checkpoint, { precision: "fp32", home });
    const { heads, kvHeads, headDim } = model;
    await using device = testDevice();
    await using rows = createRowKernels(device);
    await using kernel = await createDeviceStepKernel(device, model, { long: LONG });
    const ids = [5, 9, 3, 7, 1];
    const found: { logits: Float32Array; sums: Float32Array[] }[] = [];
    for (const capacity of [ids.length + 2, LONG]) {
      using made = new DisposableStack();
      const zeros = async () => made.use(await device.zeros([kvHeads, capacity, headDim]));
      const layers: SlottedLayer[] = [];
      while (layers.length < model.layers.length) {
        const lengths = new Array<number>(kvHeads).fill(0);
        layers.push({ keys: await zeros(), values: await zeros(), lengths });
      }
      const rotary = rotaryTables(checkpoint.config, { sequence: 9, position: 0, tokens: 5 });
      const step = await kernel.run({ ids, rotary, rows: [4], layers, observe: true });
      const sums: Float32Array[] = [];
      for (const tensor of step.attentionSums) {
        const all = await rows.read(made.use(tensor));
        const shown = Array.from(
          { length: heads },
          (_, head) => [...all.subarray(head * capacity, head * capacity + ids.length)],
        );
        sums.push(Float32Array.from(shown.flat()));
      }
      found.push({ logits: step.logits, sums });
    }
    const [short, long] = found;
    assertClose(long?.logits ?? [], short?.logits ?? [], { absolute: 1e-4 }, "logits");
    assertEquals(long?.sums.length, model.layers.length);
    for (const [layer, sums] of (short?.sums ?? []).entries()) {
      assertClose(long?.sums[layer] ?? [], sums, { absolute: 1e-5 }, `layer ${layer}`);
    }
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
