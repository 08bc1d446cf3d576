import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Device, GraphCapture } from "../../../../kernels/device/device.ts";
import { openNativeDevice } from "../../../../kernels/device/native/native_device.ts";
import { createGraph, type Graph } from "../../../../kernels/onnx/graph.ts";
import { floats } from "../../../../kernels/session.ts";
import { testProvider } from "../../../_device.ts";

const ignore = testProvider() !== "webgpu";

function opened(): { device: Device; capture: GraphCapture } {
  const device = openNativeDevice({});
  const capture = device?.capture;
  if (device && capture) return { device, capture };
  throw new Error("onnxruntime's C API cannot be reached here");
}

/** `y = x + 1`. */
function plusOne(size: number | string): Graph {
  const graph = createGraph("plus_one");
  graph.input("x", "float32", [size]);
  graph.op("Add", ["x", graph.constant(Float32Array.of(1), [1])], { names: ["y"] });
  graph.output("y", "float32", [size]);
  return graph.build();
}

/** `y = x W`, with the weights in a file. */
function product(file: string, rows: number, columns: number): Graph {
  const graph = createGraph("product");
  graph.input("x", "float32", ["T", rows]);
  const length = rows * columns * 4;
  const weight = graph.external("float32", [rows, columns], { file, offset: 0, length });
  graph.op("Gemm", ["x", weight], { names: ["y"] });
  graph.output("y", "float32", ["T", columns]);
  return graph.build();
}

Deno.test({
  name: "openNativeDevice() keeps outputs there, brings others back and counts both",
  ignore,
  async fn() {
    const { device } = opened();
    await using _device = device;
    await using kernel = await device.load(plusOne("N"), { stay: ["y"] });
    const x = floats(Float32Array.of(1, 2, 3), [3]);
    const before = device.usage;
    const kept = (await kernel.run({ x })).kept("y");
    assertEquals([kept.type, kept.dims, kept.bytes], ["float32", [3], 12]);
    assertEquals(device.usage.tensors, before.tensors + 1);
    assertEquals(device.usage.sent, before.sent + 12);
    await using reading = await device.load(plusOne("N"));
    assertEquals((await reading.run({ x: kept })).floats("y"), Float32Array.of(3, 4, 5));
    assertEquals(device.usage.received, before.received + 12);
    kept[Symbol.dispose]();
    kept[Symbol.dispose]();
    assertEquals(device.usage.tensors, before.tensors);
    await assertRejects(() => reading.run({ x: kept }), TypeError, "disposed");
  },
});

Deno.test({
  name: "weights lie on the device once, and leave with the last graph that uses them",
  ignore,
  async fn() {
    const { device } = opened();
    await using _device = device;
    const folder = await Deno.makeTempDir();
    try {
      const [rows, columns] = [8, 16];
      const numbers = Float32Array.from({ length: rows * columns }, (_, index) => index % 7);
      const file = `${folder}/weights`;
      await Deno.writeFile(file, new Uint8Array(numbers.buffer));
      const first = await device.load(product(file, rows, columns));
      const second = await device.load(product(file, rows, columns));
      assertEquals(device.usage.weights, numbers.byteLength);
      const x = floats(Float32Array.from({ length: rows }, (_, row) => row === 2 ? 1 : 0), [
        1,
        rows,
      ]);
      for (const kernel of [first, second]) {
        const { floats } = await kernel.run({ x });
        assertEquals(floats("y"), numbers.slice(2 * columns, 3 * columns));
      }
      await first[Symbol.asyncDispose]();
      assertEquals((await second.run({ x })).floats("y")[1], numbers[2 * columns + 1]);
      await second[Symbol.asyncDispose]();
      assertEquals(device.usage.weights, 0);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "a captured graph reads what lies in its tensors, and is recorded anew for others",
  ignore,
  async fn() {
    const { device, capture } = opened();
    await using _device = device;
    await using kernel = await capture.load(plusOne(3));
    const tensor = () => capture.tensor([3], "float32");
    const before = device.usage.tensors;
    const [x, y] = [tensor(), tensor()];
    for (const number of [1, 5, -2]) {
      kernel.write("x", x, floats(Float32Array.of(number, 0, 0), [3]));
      await kernel.run({ inputs: { x }, outputs: { y } });
      assertEquals(kernel.floats("y", y), Float32Array.of(number + 1, 1, 1));
    }
    y[Symbol.dispose]();
    // Many recordings: the oldest go.
    for (let times = 0; times < 12; times++) {
      using other = tensor();
      await kernel.run({ inputs: { x }, outputs: { y: other } });
      assertEquals(kernel.floats("y", other), Float32Array.of(-1, 1, 1));
    }
    x[Symbol.dispose]();
    assertEquals(device.usage.tensors, before);
    await assertRejects(() => kernel.run({ inputs: {}, outputs: {} }), RangeError, "'x'");
  },
});

Deno.test({
  name: "what onnxruntime refuses is thrown as the device explains it",
  ignore,
  async fn() {
    const explain = (error: unknown, action: string) => new Error(`${action}: ${error}`);
    const device = openNativeDevice({ explain });
    assert(device);
    await using _device = device;
    const broken = { ...plusOne(3), nodes: [] };
    await assertRejects(() => device.load(broken), Error, "load: ");
    await using kernel = await device.load(plusOne(3));
    await assertRejects(() => kernel.run({ x: floats(new Float32Array(4), [4]) }), Error, "run: ");
  },
});
