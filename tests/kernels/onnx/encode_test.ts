import { BinaryReader, WireType } from "npm:@bufbuild/protobuf@2.17.0/wire";
import { assert, assertEquals } from "@std/assert";
import { encodeModel } from "../../../kernels/onnx/encode.ts";
import { createGraph, MICROSOFT } from "../../../kernels/onnx/graph.ts";
import { flag, floats, floatsOf, integers } from "../../../kernels/session.ts";
import { runGraph } from "../_run_graph.ts";

/** Fields of a message by number, in order: numbers, or bytes. */
type Fields = Map<number, (number | bigint | Uint8Array)[]>;

function decode(bytes: Uint8Array | undefined): Fields {
  const fields: Fields = new Map();
  const reader = new BinaryReader(bytes ?? new Uint8Array(0));
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const value = type === WireType.Varint
      ? Number(reader.int64())
      : type === WireType.Bit32
      ? reader.float()
      : reader.bytes();
    fields.set(field, [...fields.get(field) ?? [], value]);
  }
  return fields;
}

function message(fields: Fields, field: number, index = 0): Fields {
  const bytes = fields.get(field)?.[index];
  assert(bytes instanceof Uint8Array, `field ${field} is no message`);
  return decode(bytes);
}

function text(fields: Fields, field: number, index = 0): string {
  const bytes = fields.get(field)?.[index];
  assert(bytes instanceof Uint8Array, `field ${field} is no text`);
  return new TextDecoder().decode(bytes);
}

Deno.test("encodeModel() names the version, the producer and both operator sets", () => {
  const model = decode(encodeModel(createGraph("g").build()));
  assertEquals(model.get(1), [10]);
  assertEquals(text(model, 2), "kvjudge");
  assertEquals(text(message(model, 7), 2), "g");
  assertEquals([0, 1].map((index) => text(message(model, 8, index), 1)), ["", MICROSOFT]);
  assertEquals([0, 1].map((index) => message(model, 8, index).get(2)), [[21], [1]]);
});

Deno.test("encodeModel() writes nodes with absent inputs, domains and attributes", () => {
  const graph = createGraph("g");
  graph.ops("Thing", ["a", "", "b"], 1, {
    domain: MICROSOFT,
    names: ["out"],
    attributes: {
      minus: { int: -2 },
      half: { float: 0.5 },
      word: { text: "ö" },
      list: { ints: [] },
    },
  });
  const node = message(message(decode(encodeModel(graph.build())), 7), 1);
  assertEquals([0, 1, 2].map((index) => text(node, 1, index)), ["a", "", "b"]);
  assertEquals([text(node, 2), text(node, 4), text(node, 7)], ["out", "Thing", MICROSOFT]);
  const attributes = [0, 1, 2, 3].map((index) => message(node, 5, index));
  assertEquals(attributes.map((attribute) => text(attribute, 1)), [
    "minus",
    "half",
    "word",
    "list",
  ]);
  assertEquals(attributes.map((attribute) => attribute.get(20)), [[2], [1], [3], [7]]);
  const [minus, half, word, list] = attributes;
  assertEquals(minus?.get(3), [-2]);
  assertEquals(half?.get(2), [0.5]);
  assert(word && text(word, 4) === "ö");
  assertEquals(list?.get(8), undefined);
});

Deno.test("encodeModel() tells the runtime where the bytes of a file lie", () => {
  const graph = createGraph("g");
  graph.external("bfloat16", [3, 2], { file: "a/b.bin", offset: 2 ** 33, length: 12 });
  const tensor = message(message(decode(encodeModel(graph.build())), 7), 5);
  assertEquals([tensor.get(1), tensor.get(2), tensor.get(14)], [[3, 2], [16], [1]]);
  const entries = [0, 1, 2].map((index) => message(tensor, 13, index));
  assertEquals(entries.map((entry) => [text(entry, 1), text(entry, 2)]), [
    ["location", "a/b.bin"],
    ["offset", "8589934592"],
    ["length", "12"],
  ]);
});

Deno.test("encodeModel() writes sizes that are numbers and sizes that are names", () => {
  const graph = createGraph("g");
  graph.input("x", "int64", ["N", 4]);
  const port = message(message(decode(encodeModel(graph.build())), 7), 11);
  const tensor = message(message(port, 2), 1);
  assertEquals([text(port, 1), tensor.get(1)], ["x", [7]]);
  const shape = message(tensor, 2);
  assertEquals(text(message(shape, 1, 0), 2), "N");
  assertEquals(message(shape, 1, 1).get(1), [4]);
});

Deno.test("encodeModel() makes models that run, with every kind of attribute", async () => {
  const x = floats(new Float32Array([1, 2, 3, 4, 5, 6]), [2, 3]);
  const outputs = await runGraph({ x, yes: flag(true) }, (graph) => {
    graph.input("x", "float32", ["N", 3]);
    graph.input("yes", "bool", [1]);
    const turned = graph.ops("Transpose", ["x"], 1, {
      names: ["turned"],
      attributes: { perm: { ints: [1, 0] } },
    });
    graph.output(turned[0] ?? "", "float32", [3, "N"]);
    graph.ops("LeakyRelu", [graph.op("Neg", ["x"])], 1, {
      names: ["leaky"],
      attributes: { alpha: { float: 0.25 } },
    });
    graph.output("leaky", "float32", ["N", 3]);
    graph.ops("Einsum", ["x", "x"], 1, {
      names: ["products"],
      attributes: { equation: { text: "ij,kj->ik" } },
    });
    graph.output("products", "float32", ["N", "N"]);
    const [first, second] = [graph.branch("then"), graph.branch("else")];
    first.output(first.op("Add", ["x", first.constant(Float32Array.of(10), [])]), "float32", [
      "N",
      3,
    ]);
    second.output(second.op("Identity", ["x"]), "float32", ["N", 3]);
    graph.ops("If", ["yes"], 1, {
      names: ["chosen"],
      attributes: {
        then_branch: { graph: first.build() },
        else_branch: { graph: second.build() },
      },
    });
    graph.output("chosen", "float32", ["N", 3]);
    graph.ops("ReduceSum", ["x", graph.integers([-1])], 1, {
      names: ["sums"],
      attributes: { keepdims: { int: 0 } },
    });
    graph.output("sums", "float32", ["N"]);
  });
  const numbers = (name: string) => [...floatsOf(outputs[name])];
  assertEquals(numbers("turned"), [1, 4, 2, 5, 3, 6]);
  assertEquals(numbers("leaky"), [-0.25, -0.5, -0.75, -1, -1.25, -1.5]);
  assertEquals(numbers("products"), [14, 32, 32, 77]);
  assertEquals(numbers("chosen"), [11, 12, 13, 14, 15, 16]);
  assertEquals(numbers("sums"), [6, 15]);
});

Deno.test("encodeModel() keeps the bits of every element type", async () => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/w.bin`;
  // Each number 1 in its type, at offsets that are not multiples of a page.
  const bytes = new Uint8Array(64);
  bytes.set([0, 0, 0x80, 0x3f], 0);
  bytes.set([0x00, 0x3c], 8);
  bytes.set([0x80, 0x3f], 16);
  bytes.set([1], 24);
  bytes.set([0xff], 32);
  await Deno.writeFile(file, bytes);
  try {
    const places = [
      ["float32", 0, 4, 1],
      ["float16", 8, 2, 1],
      ["bfloat16", 16, 2, 1],
      ["uint8", 24, 1, 1],
      ["int8", 32, 1, -1],
    ] as const;
    const outputs = await runGraph({ ids: integers([5]) }, (graph) => {
      graph.input("ids", "int64", [1]);
      const toFloat = (value: string, name: string) => {
        graph.ops("Cast", [value], 1, { names: [name], attributes: { to: { int: 1 } } });
        graph.output(name, "float32", [1]);
      };
      for (const [type, offset, length] of places) {
        toFloat(graph.external(type, [1], { file, offset, length }), type);
      }
      toFloat("ids", "int64");
      toFloat(graph.constant(new Int32Array([-7]), [1]), "int32");
      toFloat(graph.constant(new Uint8Array([200]), [1]), "bytes");
    });
    for (const [type, , , expected] of places) {
      assertEquals([...floatsOf(outputs[type])], [expected], type);
    }
    assertEquals([...floatsOf(outputs.int64)], [5]);
    assertEquals([...floatsOf(outputs.int32)], [-7]);
    assertEquals([...floatsOf(outputs.bytes)], [200]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
