import { assert, assertEquals, assertThrows } from "@std/assert";
import { gguf } from "npm:@huggingface/gguf@0.4.6";
import { readGgufHeader } from "../../../runtime/checkpoint/gguf_header.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import { encodeGguf } from "../../_gguf_writer.ts";
import { writeGguf } from "../../_random_checkpoint.ts";
import { withFolder } from "../../_temp_folder.ts";

const TENSOR = {
  name: "x",
  shape: [2, 3],
  type: "F32",
  data: Float32Array.of(1, 2, 3, 4, 5, 6),
} as const;

Deno.test("readGgufHeader() reads every kind of metadata that our writer makes", async () => {
  await withFolder((folder) => {
    const metadata = {
      "text": "ünï 🙂",
      "empty": "",
      "whole": 4294967295,
      "real": 0.5,
      "yes": true,
      "numbers": [1, 2, 3],
      "none": [],
      "texts": ["a", "", "🙂"],
      "__proto__x": 1,
    };
    Deno.writeFileSync(`${folder}/x.gguf`, encodeGguf(metadata, [TENSOR]));
    const header = readGgufHeader(`${folder}/x.gguf`);
    assertEquals(header.metadata, metadata);
    assertEquals(header.tensors.length, 1);
    assertEquals(header.tensors[0]?.shape, [2, 3]);
    assertEquals((header.tensors[0]?.offset ?? 0) + 32, header.fileSize);
  });
});

Deno.test("readGgufHeader() reads what the library of Hugging Face reads", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/x.gguf`;
    await writeGguf(path, { family: "qwen3", layers: 3 }, {
      type: "Q8_0",
      metadata: { "tokenizer.ggml.tokens": Array.from({ length: 5000 }, (_, i) => `token ${i}`) },
    });
    const ours = readGgufHeader(path);
    const theirs = await gguf(path, { allowLocalFile: true });
    const { version: _, tensor_count: __, kv_count: ___, ...metadata } = theirs.metadata;
    assertEquals({ ...ours.metadata }, { ...metadata });
    assertEquals(
      ours.tensors,
      theirs.tensorInfos.map(({ name, shape, dtype, offset }) => ({
        name,
        shape: shape.map(Number).reverse(),
        type: Number(dtype),
        offset: Number(offset + theirs.tensorDataOffset),
      })),
    );
  });
});

Deno.test("readGgufHeader() reads all scalar types and heeds the alignment", async () => {
  await withFolder((folder) => {
    const values: [number, number[], unknown][] = [
      [0, [0xff], 255],
      [1, [0xff], -1],
      [2, [0xff, 0xff], 65535],
      [3, [0xff, 0xff], -1],
      [5, [0xff, 0xff, 0xff, 0xff], -1],
      [10, [1, 0, 0, 0, 0, 0, 0, 0], 1],
      [10, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 2n ** 64n - 1n],
      [11, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -1],
      [12, [0, 0, 0, 0, 0, 0, 0xf8, 0x3f], 1.5],
    ];
    const entries = values.map(([type, bytes], i) => [...text(`k${i}`), ...u32(type), ...bytes]);
    const alignment = [...text("general.alignment"), ...u32(4), ...u32(1024)];
    const tensor = [...text("x"), ...u32(1), ...u64(1), ...u32(0), ...u64(64)];
    const bytes = file({ tensors: 1, entries: 10 }, [...entries.flat(), ...alignment, ...tensor]);
    Deno.writeFileSync(`${folder}/x.gguf`, bytes);
    const { metadata, tensors } = readGgufHeader(`${folder}/x.gguf`);
    assertEquals(values.map((_, i) => metadata[`k${i}`]), values.map(([, , value]) => value));
    assertEquals(tensors[0]?.offset, 1024 + 64);
  });
});

function u32(value: number): number[] {
  return [...new Uint8Array(Uint32Array.of(value).buffer)];
}

function u64(value: number | bigint): number[] {
  return [...new Uint8Array(BigUint64Array.of(BigInt(value)).buffer)];
}

function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value);
  return [...u64(bytes.length), ...bytes];
}

interface Claims {
  readonly version?: number;
  readonly tensors?: number | bigint;
  readonly entries?: number | bigint;
}

/** A file whose header claims what it is told to, followed by `rest`. */
function file({ version = 3, tensors = 0, entries = 0 }: Claims, rest: number[] = []): Uint8Array {
  const magic = [...new TextEncoder().encode("GGUF")];
  return Uint8Array.from([...magic, ...u32(version), ...u64(tensors), ...u64(entries), ...rest]);
}

const MOST = 2n ** 64n - 1n;
const NUMBER = [...text("a"), ...u32(4), ...u32(1)];
const tensorInfo = (dimensions: number, size: number | bigint, offset: number | bigint) => [
  ...text("x"),
  ...u32(dimensions),
  ...u64(size),
  ...u32(0),
  ...u64(offset),
];

const BAD_FILES: Record<string, { bytes: Uint8Array; message: string }> = {
  "empty": { bytes: new Uint8Array(0), message: 'it does not start with "GGUF"' },
  "of another format": {
    bytes: new TextEncoder().encode("PK\x03\x04 and so on"),
    message: 'it does not start with "GGUF"',
  },
  "cut after its first word": {
    bytes: new TextEncoder().encode("GGUF"),
    message: "its header needs 4 bytes at byte 4, but the file ends at 4",
  },
  "of version 1": { bytes: file({ version: 1 }), message: "it has version 1" },
  "of a later version": { bytes: file({ version: 4 }), message: "it has version 4" },
  "in big-endian order": { bytes: file({ version: 0x03000000 }), message: "it is big-endian" },
  "with ten million tensors in 24 bytes": {
    bytes: file({ tensors: 10_000_000 }),
    message: "it claims 10000000 tensors at byte 8, but has 24 bytes",
  },
  "with the most tensors": { bytes: file({ tensors: MOST }), message: `it claims ${MOST} tensors` },
  "with the most metadata": {
    bytes: file({ entries: MOST }, NUMBER),
    message: `it claims ${MOST} metadata entries`,
  },
  "with an immense text": {
    bytes: file({ entries: 1 }, [...u64(2n ** 40n), ...text("a")]),
    message: "it claims 1099511627776 bytes of text",
  },
  "with an immense list": {
    bytes: file({ entries: 1 }, [...text("a"), ...u32(9), ...u32(4), ...u64(2n ** 32n)]),
    message: 'it claims 4294967296 values of "a"',
  },
  "with an immense list of empty texts": {
    bytes: file({ entries: 1 }, [...text("a"), ...u32(9), ...u32(8), ...u64(100), ...u64(0)]),
    message: 'it claims 100 values of "a"',
  },
  "with lists in lists": {
    bytes: file({ entries: 1 }, [...text("a"), ...u32(9), ...u32(9), ...u64(0), ...u64(0)]),
    message: 'the metadata "a" is a list of the unsupported type 9',
  },
  "with an unknown metadata type": {
    bytes: file({ entries: 1 }, [...text("a"), ...u32(13), ...u64(0)]),
    message: 'the metadata "a" has the unknown type 13',
  },
  "with metadata twice": {
    bytes: file({ entries: 2 }, [...NUMBER, ...NUMBER]),
    message: 'it has the metadata "a" twice',
  },
  "with a tensor twice": {
    bytes: file({ tensors: 2 }, [...tensorInfo(1, 1, 0), ...tensorInfo(1, 1, 0)]),
    message: 'it lists tensor "x" twice',
  },
  "with a tensor of five dimensions": {
    bytes: file({ tensors: 1 }, tensorInfo(5, 1, 0)),
    message: 'tensor "x" has 5 dimensions',
  },
  "with a tensor of no dimension": {
    bytes: file({ tensors: 1 }, tensorInfo(0, 1, 0)),
    message: 'tensor "x" has 0 dimensions',
  },
  "with an immense dimension": {
    bytes: file({ tensors: 1 }, tensorInfo(1, MOST, 0)),
    message: `tensor "x" has an impossible size or offset of ${MOST}`,
  },
  "with an immense offset": {
    bytes: file({ tensors: 1 }, tensorInfo(1, 1, MOST)),
    message: `tensor "x" has an impossible size or offset of ${MOST}`,
  },
  "with an alignment of 0": {
    bytes: file({ entries: 1 }, [...text("general.alignment"), ...u32(4), ...u32(0)]),
    message: "its alignment is 0",
  },
};

for (const [what, { bytes, message }] of Object.entries(BAD_FILES)) {
  Deno.test(`readGgufHeader() refuses a file ${what}, naming it`, async () => {
    await withFolder((folder) => {
      const path = `${folder}/x.gguf`;
      Deno.writeFileSync(path, bytes);
      const error = assertThrows(() => readGgufHeader(path), CheckpointError, message);
      assert(error.message.includes(path), error.message);
    });
  });
}

Deno.test("readGgufHeader() refuses every cut of a header with a CheckpointError", async () => {
  await withFolder((folder) => {
    const path = `${folder}/x.gguf`;
    const whole = encodeGguf({ text: "abc", list: ["x", "y"], number: 3, real: 0.5 }, [TENSOR]);
    const dataBytes = 32;
    for (let length = 0; length < whole.length - dataBytes - 32; length++) {
      Deno.writeFileSync(path, whole.subarray(0, length));
      assertThrows(() => readGgufHeader(path), CheckpointError);
    }
  });
});

Deno.test("readGgufHeader() survives random damage: it reads or throws a CheckpointError", async () => {
  await withFolder((folder) => {
    const path = `${folder}/x.gguf`;
    const whole = encodeGguf({ text: "abc", list: ["x", "y"], number: 3 }, [TENSOR]);
    let state = 12345;
    const random = (below: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return Math.floor(state / 2 ** 32 * below);
    };
    let refused = 0;
    for (let round = 0; round < 500; round++) {
      const damaged = whole.slice();
      for (let i = 0; i < 3; i++) damaged[4 + random(damaged.length - 4)] = random(256);
      Deno.writeFileSync(path, damaged);
      try {
        readGgufHeader(path);
      } catch (error) {
        assert(error instanceof CheckpointError, String(error));
        refused++;
      }
    }
    assert(refused > 100, `${refused} of 500 refused`);
  });
});
