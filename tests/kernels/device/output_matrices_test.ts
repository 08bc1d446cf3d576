import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHeldOutputs } from "../../../kernels/device/output_matrices.ts";
import type { Device, DeviceTensor } from "../../../kernels/device/device.ts";
import type { CacheElement } from "../../../kernels/device/layer_buffers.ts";
import { createRowKernels } from "../../../kernels/device/row_kernels.ts";
import { createLayerArithmetic } from "../../../kernels/device/view_kernels.ts";
import { cast } from "../../../kernels/onnx/cast.ts";
import { createGraph } from "../../../kernels/onnx/graph.ts";
import { floats } from "../../../kernels/session.ts";
import { assertClose, noise } from "../../_close.ts";
import { testDevice, testProvider } from "../../_device.ts";

const shape = { heads: 4, kvHeads: 2, headDim: 4 };
const hidden = 6;
const width = shape.heads / shape.kvHeads * hidden;
const size = shape.kvHeads * width * shape.headDim;
const read = (layer: number) => noise(size, layer + 1);

Deno.test("an output matrix, and its products, are sent once", async () => {
  await using device = testDevice();
  const crossed: string[] = [];
  device.onCrossing = ({ kernel, direction, bytes }) => {
    if (direction === "in") crossed.push(`${kernel} ${bytes}`);
  };
  const before = device.usage.tensors;
  {
    await using outputs = createHeldOutputs(device, shape, "float32", read);
    await using rows = createRowKernels(device);
    const found: [DeviceTensor, DeviceTensor][] = [];
    for (const layer of [0, 1, 0, 1]) {
      found.push([await outputs.matrix(layer), await outputs.products(layer)]);
    }
    const once = [`output_matrix ${size * 4}`, `output_products ${size * 4}`];
    assertEquals(crossed, [...once, ...once]);
    assertEquals(found.slice(2), found.slice(0, 2), "the same tensors");
    const [, [matrix, products] = []] = found;
    if (!matrix || !products) throw new Error("two tensors of each layer");
    assertEquals(matrix.dims, [shape.kvHeads, width, shape.headDim]);
    assertEquals(await rows.read(matrix), read(1));
    const inRows = device.reshaped(products, [1, products.bytes / 4]);
    assertClose(await rows.read(inRows), productsOf(read(1)), { absolute: 1e-5 });
    assertEquals(device.usage.tensors, before + 4, "they count as held");
  }
  assertEquals(device.usage.tensors, before, "they go with their owner");
});

Deno.test("a matrix that cannot be read is read again when it is asked for again", async () => {
  await using device = testDevice();
  let broken = true;
  await using outputs = createHeldOutputs(device, shape, "float32", (layer) => {
    if (broken) throw new RangeError("Cannot read a file that ends");
    return read(layer);
  });
  await assertRejects(() => outputs.products(0), RangeError, "a file that ends");
  broken = false;
  assertEquals((await outputs.products(0)).dims, [2, 2, 4, 4]);
});

// The software adapter has no 16-bit floats.
const ignore = testProvider() === "webgpu";

Deno.test(
  "beside a cache of 16-bit floats a matrix takes half the memory, and norms are near",
  { ignore },
  async () => {
    await using device = testDevice();
    await using rows = createRowKernels(device);
    const values = noise(shape.kvHeads * 3 * shape.headDim, 9);
    const norms: Float32Array[] = [];
    for (const element of ["float32", "float16"] as const) {
      await using outputs = createHeldOutputs(device, shape, element, read);
      await using arithmetic = createLayerArithmetic(device, shape, element);
      const matrix = await outputs.matrix(0);
      assertEquals([matrix.type, matrix.bytes], [element, size * (element === "float16" ? 2 : 4)]);
      using there = await brought(device, values, element);
      using found = await arithmetic.outputNorms(there, matrix);
      norms.push(await rows.read(found));
    }
    const [exact = new Float32Array(), near = new Float32Array()] = norms;
    assert(exact.every((norm) => norm > 0.1));
    assertClose(near, exact, { relative: 5e-3 });
  },
);

/** Values of a layer on a device. */
async function brought(device: Device, values: Float32Array, element: CacheElement) {
  const graph = createGraph("brought");
  graph.input("values", "float32", ["H", "C", "D"]);
  cast(graph, "values", element, ["result"]);
  graph.output("result", element, ["H", "C", "D"]);
  await using kernel = await device.load(graph.build(), { stay: ["result"] });
  const { kvHeads, headDim } = shape;
  const dims = [kvHeads, values.length / (kvHeads * headDim), headDim];
  return (await kernel.run({ values: floats(values, dims) })).kept("result");
}

/** `WᵀW` of each query head. */
function productsOf(output: Float32Array): Float32Array {
  const { heads, headDim } = shape;
  const products = new Float32Array(heads * headDim * headDim);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < headDim; row++) {
      for (let column = 0; column < headDim; column++) {
        let sum = 0;
        for (let at = 0; at < hidden; at++) {
          const from = (head * hidden + at) * headDim;
          sum += (output[from + row] ?? 0) * (output[from + column] ?? 0);
        }
        products[(head * headDim + row) * headDim + column] = sum;
      }
    }
  }
  return products;
}
