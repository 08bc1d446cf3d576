import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CheckpointError } from "../../../runtime/errors.ts";
import {
  readFloats,
  readSafetensors,
  readTensor,
  type SafetensorsInput,
  writeSafetensors,
} from "../../../runtime/checkpoint/safetensors.ts";

const GOLDEN = new URL("../../fixtures/tiny-llama/golden.safetensors", import.meta.url).pathname;

/** Runs `use` with the path of a file in a folder that is gone afterwards. */
async function withFile(use: (path: string, folder: string) => unknown): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(`${folder}/x.safetensors`, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A file made of a header as it is given, its length (or a false one) and `data` bytes of zeros. */
function fileOf(header: string, data: number, claimed?: bigint): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

function entry(dtype: string, shape: unknown, from: number, to: number): string {
  return JSON.stringify({ dtype, shape, data_offsets: [from, to] });
}

Deno.test("readSafetensors() lists the tensors of a file of another writer", () => {
  const { tensors, metadata } = readSafetensors(GOLDEN);
  assertEquals(tensors.size, 86);
  assertEquals(metadata, {});
  assertEquals(tensors.get("logits")?.shape, [96, 320]);
  assertEquals(tensors.get("input_ids")?.dtype, "I32");
  const end = Math.max(...[...tensors.values()].map(({ offset, bytes }) => offset + bytes));
  assertEquals(end, Deno.statSync(GOLDEN).size);
});

Deno.test("readTensor() reads integers and floats of a file of another writer", () => {
  const greedy = readTensor(GOLDEN, "greedy");
  assertEquals(greedy.data instanceof Int32Array, true);
  assertEquals(greedy.shape, [16]);
  const logits = readFloats(GOLDEN, "logits").data;
  let best = 0;
  const last = logits.subarray(95 * 320);
  for (let id = 0; id < 320; id++) if ((last[id] ?? 0) > (last[best] ?? 0)) best = id;
  assertEquals(best, greedy.data[0]);
});

Deno.test("writeSafetensors() and readTensor() keep every type, shape and the metadata", async () => {
  const floats = Float32Array.of(0, -0, 1.5, -2.25, 65504, Infinity);
  const tensors: Record<string, SafetensorsInput> = {
    "bytes": { shape: [3], data: Uint8Array.of(0, 128, 255) },
    "f32": { shape: [2, 3], data: Float32Array.of(1e-30, 3.4e38, -0, 0.1, NaN, -Infinity) },
    "f16": { shape: [6], data: floats, dtype: "F16" },
    "bf16": { shape: [3, 1, 2], data: Float32Array.of(0, -0, 1.5, -2.25, 2 ** 100, NaN) },
    "i32": { shape: [2], data: Int32Array.of(-(2 ** 31), 2 ** 31 - 1) },
    "i64": { shape: [], data: BigInt64Array.of(-(2n ** 63n)) },
    "flags": { shape: [2], data: Uint8Array.of(0, 1), dtype: "BOOL" },
    "empty": { shape: [0, 4], data: new Float32Array(0) },
    ["__proto__"]: { shape: [1], data: Uint8Array.of(7) },
  };
  await withFile(async (path) => {
    await writeSafetensors(path, tensors, { note: "ünï", step: "3" });
    const header = readSafetensors(path);
    assertEquals(header.metadata, { note: "ünï", step: "3" });
    assertEquals([...header.tensors.keys()].sort(), Object.keys(tensors).sort());
    for (const [name, { shape, data }] of Object.entries(tensors)) {
      assertEquals(readTensor(path, name), { shape, data }, name);
    }
    assertEquals(header.tensors.get("f16")?.bytes, 12);
    for (const { offset, dtype } of header.tensors.values()) {
      if (dtype === "F32") assertEquals(offset % 4, 0);
    }
  });
});

Deno.test("writeSafetensors() rounds to the nearest F16 and BF16, ties to even", async () => {
  await withFile(async (path) => {
    const half = 1 + 2 ** -11;
    const brain = 1 + 2 ** -8;
    await writeSafetensors(path, {
      f16: { shape: [3], data: Float32Array.of(half, half + 2 ** -20, 1e-8), dtype: "F16" },
      bf16: { shape: [3], data: Float32Array.of(brain, brain + 2 ** -20, 3.4e38), dtype: "BF16" },
    });
    assertEquals(readTensor(path, "f16").data, Float32Array.of(1, 1 + 2 ** -10, 0));
    assertEquals(readTensor(path, "bf16").data, Float32Array.of(1, 1 + 2 ** -7, Infinity));
  });
});

Deno.test("writeSafetensors() replaces a file and leaves no temporary file", async () => {
  await withFile(async (path, folder) => {
    for (const value of [1, 2]) {
      await writeSafetensors(path, { x: { shape: [1], data: Int32Array.of(value) } });
    }
    assertEquals(readTensor(path, "x").data, Int32Array.of(2));
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["x.safetensors"]);
  });
});

Deno.test("writeSafetensors() refuses data that does not fit its shape or type", async () => {
  await withFile(async (path) => {
    const data = Float32Array.of(1, 2, 3);
    await assertRejects(
      () => writeSafetensors(path, { x: { shape: [2, 2], data } }),
      CheckpointError,
      '"x"',
    );
    await assertRejects(
      () => writeSafetensors(path, { x: { shape: [3], data, dtype: "I32" } }),
      CheckpointError,
      "3 elements of F32 do not make I32 [3]",
    );
    await assertRejects(
      () => writeSafetensors(`${path}/no/such/folder`, { x: { shape: [3], data } }),
      CheckpointError,
      "Cannot write",
    );
  });
});

const BAD_FILES: Record<string, { file: Uint8Array; message: string }> = {
  "empty": { file: new Uint8Array(0), message: "only 0 bytes" },
  "shorter than its length field": { file: Uint8Array.of(1, 2, 3), message: "only 3 bytes" },
  "with a header length beyond the file": {
    file: fileOf("{}", 0, 3n),
    message: "its header claims 3 bytes where at most 2 fit",
  },
  "with the largest header length": {
    file: fileOf("{}", 100, 2n ** 64n - 1n),
    message: "18446744073709551615",
  },
  "with a header that is no JSON": { file: fileOf("{hello}", 0), message: "not valid JSON" },
  "with a header that is no UTF-8": {
    file: Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff),
    message: "not valid JSON",
  },
  "with a deeply nested header": { file: fileOf("[".repeat(200_000), 0), message: "JSON" },
  "with a list as header": { file: fileOf("[1]", 0), message: "not a JSON object" },
  "with numbers as metadata": {
    file: fileOf('{"__metadata__":{"step":1}}', 0),
    message: 'entry "step" is not text',
  },
  "with metadata that is no object": {
    file: fileOf('{"__metadata__":"x"}', 0),
    message: "__metadata__ is not an object",
  },
  "with a tensor that is no object": {
    file: fileOf('{"x":1}', 0),
    message: '"x" is not an object',
  },
  "with an unknown type": {
    file: fileOf(`{"x":${entry("F31", [1], 0, 4)}}`, 4),
    message: 'tensor "x" has the unknown type "F31"',
  },
  "with a type named like an object's method": {
    file: fileOf(`{"x":${entry("toString", [1], 0, 4)}}`, 4),
    message: "unknown type",
  },
  "with a negative size": {
    file: fileOf(`{"x":${entry("F32", [-1], 0, 4)}}`, 4),
    message: "no valid shape",
  },
  "with a shape that is no list": {
    file: fileOf(`{"x":${entry("F32", "1", 0, 4)}}`, 4),
    message: "no valid shape",
  },
  "with one offset": {
    file: fileOf('{"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}}', 4),
    message: "no valid data_offsets",
  },
  "with a fractional offset": {
    file: fileOf(`{"x":${entry("F32", [1], 0.5, 4.5)}}`, 8),
    message: "no valid data_offsets",
  },
  "with offsets that run backwards": {
    file: fileOf(`{"x":${entry("F32", [1], 8, 4)}}`, 8),
    message: 'tensor "x" lies at bytes',
  },
  "that is truncated": {
    file: fileOf(`{"x":${entry("F32", [4], 0, 16)}}`, 15),
    message: 'tensor "x" lies at bytes',
  },
  "whose bytes do not fit the shape": {
    file: fileOf(`{"x":${entry("F16", [3, 3], 0, 16)}}`, 16),
    message: 'tensor "x" (F16 [3, 3]) needs 18 bytes but has 16',
  },
  "with an immense shape": {
    file: fileOf(`{"x":${entry("F32", [2 ** 52, 2 ** 52], 0, 4)}}`, 4),
    message: "needs",
  },
  "with overlapping tensors": {
    file: fileOf(`{"x":${entry("U8", [4], 0, 4)},"y":${entry("U8", [4], 3, 7)}}`, 8),
    message: 'tensors "x" and "y" overlap',
  },
  "with one name twice": {
    file: fileOf(`{"x":${entry("U8", [1], 0, 1)}, "\\u0078" :${entry("U8", [1], 1, 2)}}`, 2),
    message: 'its header names "x" twice',
  },
};

for (const [what, { file, message }] of Object.entries(BAD_FILES)) {
  Deno.test(`readSafetensors() refuses a file ${what}, naming file and problem`, async () => {
    await withFile((path) => {
      Deno.writeFileSync(path, file);
      const error = assertThrows(() => readSafetensors(path), CheckpointError, message);
      assertEquals(error.message.includes(path), true, error.message);
    });
  });
}

Deno.test("readSafetensors() takes equal names at different depths for what they are", async () => {
  await withFile((path) => {
    const header = `{"__metadata__":{"x":"\\"x\\": {"},"x":${entry("U8", [1], 0, 1)},` +
      `"shape":${entry("U8", [1], 1, 2)}}`;
    Deno.writeFileSync(path, fileOf(header, 2));
    assertEquals([...readSafetensors(path).tensors.keys()], ["x", "shape"]);
    assertEquals(readSafetensors(path).metadata, { x: '"x": {' });
  });
});

Deno.test("readSafetensors() refuses a missing file and a folder", async () => {
  await withFile((path, folder) => {
    assertThrows(() => readSafetensors(path), CheckpointError, "does not exist");
    assertThrows(() => readSafetensors(folder), CheckpointError, "it is a folder");
  });
});

Deno.test("readSafetensors() refuses a named pipe instead of waiting for it", async () => {
  await withFile(async (path) => {
    const { success } = await new Deno.Command("mkfifo", { args: [path] }).output();
    assertEquals(success, true);
    assertThrows(() => readSafetensors(path), CheckpointError, "not a regular file");
  });
});

Deno.test("readTensor() names a missing tensor, what there is, and an unsupported type", async () => {
  await withFile((path) => {
    Deno.writeFileSync(path, fileOf(`{"x":${entry("F64", [1], 0, 8)}}`, 8));
    assertThrows(() => readTensor(path, "y"), CheckpointError, 'no such tensor, only "x"');
    assertThrows(() => readTensor(path, "x"), CheckpointError, "type F64 is not supported");
  });
});

Deno.test("readFloats() refuses a tensor of integers", () => {
  assertThrows(() => readFloats(GOLDEN, "greedy"), CheckpointError, "it holds integers");
});
