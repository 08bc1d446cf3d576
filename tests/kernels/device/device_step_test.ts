import { assert, assertEquals } from "@std/assert";
import { liesByHead } from "../../../kernels/attention_nodes.ts";
import type { Device, DeviceTensor } from "../../../kernels/device/device.ts";
import { createDeviceStepKernel } from "../../../kernels/device/device_step.ts";
import type { SlottedLayer } from "../../../kernels/device/step_kernel.ts";
import { createRowKernels } from "../../../kernels/device/row_kernels.ts";
import { createGraph } from "../../../kernels/onnx/graph.ts";
import { createStepKernel } from "../../../kernels/step.ts";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { rotaryTables } from "../../../runtime/rotary/rotary_tables.ts";
import { stepModel } from "../../../runtime/weights/step_model.ts";
import { assertClose, noise } from "../../_close.ts";
import { testDevice } from "../../_device.ts";
import { fixture, TINY } from "../../_test_model.ts";
import { byHead } from "../_by_head.ts";

const IDS = [5, 9, 3, 7, 1, 2, 8];
const CAPACITY = 12;

async function numbersOf(device: Device, tensor: DeviceTensor): Promise<Float32Array> {
  const graph = createGraph("read");
  graph.input("x", "float32", ["A", "B", "C"]);
  graph.op("Identity", ["x"], { names: ["y"] });
  graph.output("y", "float32", ["A", "B", "C"]);
  await using kernel = await device.load(graph.build());
  return (await kernel.run({ x: tensor })).floats("y");
}

for (const name of TINY) {
  Deno.test(`createDeviceStepKernel() computes what the processor's graph does: ${name}`, async () => {
    const home = await Deno.makeTempDir();
    try {
      const { config, ...checkpoint } = await openCheckpoint(fixture(name), { home });
      const model = await stepModel({ config, ...checkpoint }, {
        precision: "fp32",
        home,
      });
      const { heads, kvHeads, headDim, layers, hidden } = model;
      const rotary = (position: number, tokens: number) =>
        rotaryTables(config, { sequence: position + tokens, position, tokens });
      const soft = noise(2 * hidden, 3);
      const none = new Float32Array(0);
      await using host = await createStepKernel(model, 1);
      const read = await host.run({
        ids: IDS,
        rotary: rotary(0, IDS.length),
        rows: [2, IDS.length - 1],
        past: layers.map(() => ({ keys: none, values: none })),
        observe: true,
        queries: true,
      });
      const laidOut = (rows: Float32Array, layer: number) =>
        liesByHead(model, model.layerKinds[layer]?.window) ? byHead(rows, model) : rows.slice();
      const past = read.entries.map(({ keys, values }, layer) => ({
        keys: laidOut(keys, layer),
        values: laidOut(values, layer),
      }));
      const probed = await host.run({
        ids: [4],
        embeddings: soft,
        rotary: rotary(IDS.length, 3),
        rows: [2],
        past,
        observe: true,
      });
      const decoded = await host.run({
        ids: [6],
        rotary: rotary(IDS.length, 1),
        rows: [0],
        past,
      });

      await using device = testDevice();
      await using rows = createRowKernels(device);
      await using kernel = await createDeviceStepKernel(device, model);
      using buffers = new DisposableStack();
      const entries: Omit<SlottedLayer, "lengths">[] = [];
      for (let layer = 0; layer < layers.length; layer++) {
        const empty = async () =>
          buffers.use(await device.zeros([kvHeads, CAPACITY, headDim], "float32"));
        entries.push({ keys: await empty(), values: await empty() });
      }
      const holding = (length: number): SlottedLayer[] =>
        entries.map((one) => ({ ...one, lengths: new Array<number>(kvHeads).fill(length) }));
      const close = (actual: Float32Array, expected: Float32Array, what: string) =>
        assertClose(actual, expected, { absolute: 1e-4 }, what);
      const closeRows = async (
        tensors: readonly DeviceTensor[],
        expected: typeof read.attentionSums,
      ) => {
        assertEquals(tensors.length, layers.length);
        for (const [layer, tensor] of tensors.entries()) {
          using held = tensor;
          const columns = (expected[layer]?.length ?? 0) / heads;
          const all = await rows.read(held);
          const seen = all.filter((_, index) => index % CAPACITY < columns);
          close(seen, expected[layer] ?? none, `attentionSums ${layer}`);
          assert(all.every((value, index) => index % CAPACITY < columns || value === 0));
        }
      };

      const first = await kernel.run({
        ids: IDS,
        rotary: rotary(0, IDS.length),
        rows: [2, IDS.length - 1],
        layers: holding(0),
        observe: true,
        queries: true,
      });
      close(first.logits, read.logits, "logits");
      await closeRows(first.attentionSums, read.attentionSums);
      for (const [layer, tensor] of first.queries.entries()) {
        using held = tensor;
        assertEquals(held.dims, [IDS.length, heads, headDim]);
        close(await numbersOf(device, held), read.queries[layer] ?? none, `queries ${layer}`);
      }
      const second = await kernel.run({
        ids: [4],
        embeddings: soft,
        rotary: rotary(IDS.length, 3),
        rows: [2],
        layers: holding(IDS.length),
        observe: true,
      });
      close(second.logits, probed.logits, "logits of a probe");
      await closeRows(second.attentionSums, probed.attentionSums);
      // What the probe left in the slots behind is hidden, and written over.
      const third = await kernel.run({
        ids: [6],
        rotary: rotary(IDS.length, 1),
        rows: [0],
        layers: holding(IDS.length),
      });
      close(third.logits, decoded.logits, "logits of a decoding step");
      assertEquals([third.queries, third.attentionSums], [[], []]);
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  });
}
