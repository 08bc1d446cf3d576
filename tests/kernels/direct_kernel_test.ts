import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { createDirectKernel } from "../../kernels/direct_kernel.ts";
import { createGraph } from "../../kernels/onnx/graph.ts";
import { floats, floatsOf } from "../../kernels/session.ts";

const graph = (() => {
  const builder = createGraph("test");
  builder.input("x", "float32", ["N"]);
  builder.ops("Add", ["x", "x"], 1, { names: ["twice"] });
  builder.ops("Neg", ["x"], 1, { names: ["minus"] });
  builder.output("twice", "float32", ["N"]);
  builder.output("minus", "float32", ["N"]);
  return builder.build();
})();

/** An array over memory that can be resized, as a cache's. */
function resizable(...values: readonly number[]): Float32Array<ArrayBuffer> {
  const bytes = values.length * Float32Array.BYTES_PER_ELEMENT;
  const array = new Float32Array(new ArrayBuffer(bytes, { maxByteLength: 1 << 20 }));
  array.set(values);
  return array;
}

Deno.test("createDirectKernel() runs on views, for all outputs or those that are wanted", async () => {
  await using kernel = await createDirectKernel(graph);
  const view = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
  const all = await kernel.run({ x: floats(view, [2]) });
  assertEquals([...floatsOf(all.twice)], [2, 4]);
  assertEquals(all.twice?.dims, [2]);
  assertEquals([...floatsOf(all.minus)], [-1, -2]);
  assertEquals(Object.keys(await kernel.run({ x: floats(view, [2]) }, ["minus"])), ["minus"]);
  const none = await kernel.run({ x: floats(new Float32Array(0), [0]) });
  assertEquals(floatsOf(none.twice).length, 0);
});

Deno.test("createDirectKernel() writes an output where it is to lie, without a copy", async () => {
  await using kernel = await createDirectKernel(graph);
  const [x, into] = [resizable(1, 2, 3), resizable(0, 0, 0)];
  const target = floats(into, [3]);
  const feeds = { x: floats(x, [3]) };
  for (let run = 1; run <= 3; run++) {
    x[0] = run;
    const outputs = await kernel.run(feeds, { twice: target, minus: null });
    assertStrictEquals(outputs.twice, target);
    assertEquals([...into], [2 * run, 4, 6]);
    assertEquals([...floatsOf(outputs.minus)], [-run, -2, -3]);
  }
});

Deno.test("createDirectKernel() follows memory that grows, shrinks, and is looked at from elsewhere", async () => {
  await using kernel = await createDirectKernel(graph);
  const { buffer } = resizable(0);
  for (const length of [1, 3, 1000, 1000, 2]) {
    buffer.resize(4 * length);
    const array = new Float32Array(buffer);
    array.forEach((_, index) => array[index] = index + length);
    const whole = await kernel.run({ x: floats(array, [length]) });
    assertEquals(floatsOf(whole.twice), array.map((value) => 2 * value));
    const last = await kernel.run({ x: floats(array.subarray(length - 1), [1]) });
    assertEquals([...floatsOf(last.minus)], [1 - 2 * length]);
  }
});

Deno.test("createDirectKernel() runs several times at once", async () => {
  await using kernel = await createDirectKernel(graph, { threads: 2 });
  const array = resizable(...Array.from({ length: 64 }, (_, index) => index));
  const runs = Array.from(
    { length: 20 },
    (_, index) => kernel.run({ x: floats(array.subarray(index), [64 - index]) }),
  );
  for (const [index, outputs] of (await Promise.all(runs)).entries()) {
    assertEquals([...floatsOf(outputs.twice)].slice(0, 2), [2 * index, 2 * index + 2]);
    assertEquals(floatsOf(outputs.twice).length, 64 - index);
  }
});

Deno.test("createDirectKernel() throws what onnxruntime says, and goes on", async () => {
  await using kernel = await createDirectKernel(graph);
  const x = floats(Float32Array.of(1), [1]);
  await assertRejects(() => kernel.run({}), Error);
  const error = await assertRejects(() => kernel.run({ x: floats(new Float32Array(4), [2, 2]) }));
  assert(error instanceof Error && error.message.includes("rank"), String(error));
  await assertRejects(() => kernel.run({ x, y: x }), RangeError, "'y'");
  assertEquals([...floatsOf((await kernel.run({ x })).twice)], [2]);
});
