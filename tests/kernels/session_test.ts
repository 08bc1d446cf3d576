import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createGraph, type GraphBuilder } from "../../kernels/onnx/graph.ts";
import { createKernel, flag, floats, floatsOf, integers } from "../../kernels/session.ts";

function graphOf(build: (graph: GraphBuilder) => void) {
  const graph = createGraph("test");
  build(graph);
  return graph.build();
}

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const doubled = graphOf((graph) => {
  graph.input("x", "float32", ["N"]);
  graph.ops("Add", ["x", "x"], 1, { names: ["twice"] });
  graph.ops("Neg", ["x"], 1, { names: ["minus"] });
  graph.output("twice", "float32", ["N"]);
  graph.output("minus", "float32", ["N"]);
});

Deno.test("createKernel() runs a graph on views, for all outputs or those that are wanted", async () => {
  await using kernel = await createKernel(doubled);
  const view = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
  const all = await kernel.run({ x: floats(view, [2]) });
  assertEquals([...floatsOf(all.twice)], [2, 4]);
  assertEquals([...floatsOf(all.minus)], [-1, -2]);
  const one = await kernel.run({ x: floats(view, [2]) }, ["minus"]);
  assertEquals(Object.keys(one), ["minus"]);
});

Deno.test("createKernel() runs on memory that has grown and shrunk", async () => {
  await using kernel = await createKernel(doubled);
  const buffer = new ArrayBuffer(4, { maxByteLength: 1 << 20 });
  for (const length of [1, 3, 1000, 2]) {
    buffer.resize(4 * length);
    const array = new Float32Array(buffer).fill(length);
    const { twice } = await kernel.run({ x: floats(array.subarray(0, length), [length]) }, [
      "twice",
    ]);
    assertEquals([...floatsOf(twice)], new Array(length).fill(2 * length));
  }
});

Deno.test("createKernel() reads weights from several folders", async () => {
  await withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/a/deep`, { recursive: true });
    await Deno.mkdir(`${folder}/ab`);
    const files = [`${folder}/a/deep/one.bin`, `${folder}/a/two.bin`, `${folder}/ab/three.bin`];
    for (const [index, file] of files.entries()) {
      await Deno.writeFile(file, new Uint8Array(new Float32Array([0, index + 1]).buffer));
    }
    const graph = graphOf((builder) => {
      builder.input("x", "float32", [1]);
      const sum = files.reduce<string>((total, file) => {
        const weight = builder.external("float32", [1], { file, offset: 4, length: 4 });
        return builder.op("Add", [total, weight]);
      }, "x");
      builder.output(sum, "float32", [1]);
    });
    await using kernel = await createKernel(graph);
    const outputs = await kernel.run({ x: floats(Float32Array.of(10), [1]) });
    assertEquals(Object.values(outputs).map((tensor) => [...floatsOf(tensor)]), [[16]]);
  });
});

Deno.test("createKernel() takes relative paths beside absolute ones", async () => {
  await withFolder(async (folder) => {
    await Deno.writeFile(`${folder}/absolute.bin`, new Uint8Array(new Float32Array([5]).buffer));
    const relative = await Deno.makeTempFile({ dir: "." });
    try {
      await Deno.writeFile(relative, new Uint8Array(new Float32Array([7]).buffer));
      const graph = graphOf((builder) => {
        builder.input("x", "float32", [1]);
        const place = { offset: 0, length: 4 };
        const one = builder.external("float32", [1], { file: `${folder}/absolute.bin`, ...place });
        const two = builder.external("float32", [1], { file: relative, ...place });
        builder.output(builder.op("Add", [builder.op("Add", ["x", one]), two]), "float32", [1]);
      });
      await using kernel = await createKernel(graph);
      const outputs = await kernel.run({ x: floats(Float32Array.of(1), [1]) });
      assertEquals(Object.values(outputs).map((tensor) => [...floatsOf(tensor)]), [[13]]);
    } finally {
      await Deno.remove(relative);
    }
  });
});

Deno.test("createKernel() rejects a graph whose file is missing or too short", async () => {
  await withFolder(async (folder) => {
    const file = `${folder}/short.bin`;
    await Deno.writeFile(file, new Uint8Array(4));
    const graph = (name: string) =>
      graphOf((builder) => {
        builder.input("x", "float32", [4]);
        const weight = builder.external("float32", [4], { file: name, offset: 0, length: 16 });
        builder.output(builder.op("Add", ["x", weight]), "float32", [4]);
      });
    await assertRejects(() => createKernel(graph(file)));
    await assertRejects(() => createKernel(graph(`${folder}/missing.bin`)));
  });
});

Deno.test("kernel.run() rejects wrong inputs and goes on working", async () => {
  await using kernel = await createKernel(doubled);
  await assertRejects(() => kernel.run({ x: integers([1]) }));
  await assertRejects(() => kernel.run({}));
  const { twice } = await kernel.run({ x: floats(Float32Array.of(4), [1]) });
  assertEquals([...floatsOf(twice)], [8]);
});

Deno.test("floatsOf() refuses tensors of other types", () => {
  assertThrows(() => floatsOf(integers([1])), TypeError, "Cannot read a int64 tensor as float32");
  assertThrows(() => floatsOf(undefined), TypeError, "Cannot read a missing tensor as float32");
  assertEquals([...flag(true).data as Uint8Array, ...flag(false).data as Uint8Array], [1, 0]);
});
