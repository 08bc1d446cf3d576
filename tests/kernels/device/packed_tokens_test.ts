import { assertEquals } from "@std/assert";
import {
  packedToken,
  packedTokens,
  unpackToken,
  unpackTokens,
} from "../../../kernels/device/packed_tokens.ts";
import { createGraph } from "../../../kernels/onnx/graph.ts";
import { createKernel, floatsOf } from "../../../kernels/session.ts";

const SHAPE = { headDim: 4, ropes: [{}] };
const TWO_ROPES = { headDim: 4, ropes: [{}, {}] };
const ROTARY = { cos: Float32Array.of(1, 2, 3, 4, 5, 6), sin: Float32Array.of(7, 8, 9, 1, 2, 3) };
const SECOND = { cos: ROTARY.sin, sin: Float32Array.of(0, 1, 0, 1, 0, 1) };

Deno.test("packedTokens() come apart as they were: tables, ids, rows, the largest id exact", async () => {
  const graph = createGraph("unpack");
  const { ids, rows } = unpackTokens(graph, SHAPE, false);
  const list = (value: string, name: string) => {
    graph.op("Cast", [value], { names: [name], attributes: { to: { int: 1 } } });
    graph.output(name, "float32", [`of ${name}`]);
  };
  list(ids, "ids");
  list(rows, "wanted");
  for (const name of ["cos", "sin"]) graph.output(name, "float32", ["T", 2]);
  await using kernel = await createKernel(graph.build());
  const given = [0, 2 ** 24 - 1];
  // A soft token follows the two ids: it has tables, but no id.
  const found = await kernel.run(packedTokens({ ids: given, rotary: [ROTARY], rows: [2] }, 4));
  assertEquals([...floatsOf(found.ids)], given);
  assertEquals([...floatsOf(found.wanted)], [2]);
  assertEquals(floatsOf(found.cos), ROTARY.cos);
  assertEquals(floatsOf(found.sin), ROTARY.sin);
});

Deno.test("packedTokens() and packedToken() bring the tables of two ropes", async () => {
  const names = ["cos", "sin", "cos.1", "sin.1"];
  const several = createGraph("unpack");
  unpackTokens(several, TWO_ROPES, false);
  for (const name of names) several.output(name, "float32", ["T", 2]);
  await using kernel = await createKernel(several.build());
  const rotary = [ROTARY, SECOND];
  const found = await kernel.run(packedTokens({ ids: [1, 2, 3], rotary, rows: [0] }, 4), names);
  const tables = [ROTARY.cos, ROTARY.sin, SECOND.cos, SECOND.sin];
  assertEquals(names.map((name) => floatsOf(found[name])), tables);

  const one = createGraph("unpack_one");
  const id = unpackToken(one, TWO_ROPES, false);
  one.output(id, "int32", [1]);
  for (const name of names) one.output(name, "float32", [1, 2]);
  await using single = await createKernel(one.build());
  const alone = await single.run({ token: packedToken({ ids: [2 ** 24 - 1], rotary }, 4) });
  assertEquals([...alone[id]?.data as Int32Array], [2 ** 24 - 1]);
  assertEquals(
    names.map((name) => floatsOf(alone[name])),
    tables.map((table) => table.slice(0, 2)),
  );
});
