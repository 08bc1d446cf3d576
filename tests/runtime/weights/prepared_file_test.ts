import { assert, assertEquals, assertThrows } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { Place, Weight } from "../../../kernels/weight.ts";
import { FetchError } from "../../../runtime/errors.ts";
import { preparedWeights } from "../../../runtime/weights/prepared_file.ts";
import type { WeightWriter } from "../../../runtime/weights/weight_writer.ts";
import { withFolder } from "../../_temp_folder.ts";

const FLOATS = new Float32Array([1, -2, 3]);
const BLOCKS = {
  bits: 8,
  rows: 1,
  columns: 4,
  values: Uint8Array.from({ length: 32 }, (_, index) => index),
  scales: new Float32Array([0.5]),
  zeroPoints: new Uint8Array([128]),
  offsets: new Float32Array([9]),
} as const;

const write = (writer: WeightWriter): Record<string, Weight> => ({
  a: writer.floats(1, 3, [FLOATS]),
  b: writer.blocks(1, [BLOCKS]),
});
const refuse = (): never => {
  throw new Error("the weights are written again");
};

function bytesAt({ file, offset, length }: Place): Uint8Array {
  return Deno.readFileSync(file).slice(offset, offset + length);
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

function assertWeights({ a, b }: Record<string, Weight>): void {
  assert(a?.kind === "float" && b?.kind === "blocks" && b.zeroPoints && b.offsets);
  assertEquals([a.type, a.rows, a.columns], ["float32", 1, 3]);
  assertEquals(bytesAt(a.place), new Uint8Array(FLOATS.buffer));
  assertEquals([b.bits, b.rows, b.columns], [8, 1, 4]);
  assertEquals(bytesAt(b.values), BLOCKS.values);
  assertEquals(bytesAt(b.scales), new Uint8Array(BLOCKS.scales.buffer));
  assertEquals(bytesAt(b.zeroPoints), BLOCKS.zeroPoints);
  assertEquals(bytesAt(b.offsets), new Uint8Array(BLOCKS.offsets.buffer));
  for (const place of [a.place, b.values, b.scales]) assertEquals(place.offset % 4096, 0);
}

Deno.test("preparedWeights() writes weights once and finds them again", async () => {
  await withFolder((folder) => {
    const path = `${folder}/deep/w.bin`;
    const first = preparedWeights(path, write);
    assertWeights(first);
    assertEquals(names(`${folder}/deep`), ["w.bin", "w.bin.json"]);
    assertEquals(preparedWeights(path, refuse), first);
  });
});

Deno.test("preparedWeights() leaves nothing behind when writing is interrupted", async () => {
  await withFolder((folder) => {
    const path = `${folder}/w.bin`;
    const interrupted = (writer: WeightWriter) => {
      write(writer);
      throw new Error("out of paper");
    };
    assertThrows(() => preparedWeights(path, interrupted), Error, "out of paper");
    assertEquals(names(folder), []);
    assertWeights(preparedWeights(path, write));
  });
});

Deno.test("preparedWeights() removes what a killed process left long ago, and only that", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/w.bin`;
    await Deno.writeTextFile(`${path}.old.part`, "half");
    await Deno.utime(`${path}.old.part`, 1, 1);
    await Deno.writeTextFile(`${path}.new.part`, "being written");
    await Deno.writeTextFile(`${folder}/other.bin.old.part`, "not ours");
    await Deno.utime(`${folder}/other.bin.old.part`, 1, 1);
    preparedWeights(path, write);
    assertEquals(names(folder), ["other.bin.old.part", "w.bin", "w.bin.json", "w.bin.new.part"]);
  });
});

Deno.test("preparedWeights() writes weights again where the table or the file is damaged", async () => {
  const damages: ((path: string) => Promise<void>)[] = [
    (path) => Deno.writeTextFile(`${path}.json`, '{"bytes": 12, "wei'),
    (path) => Deno.writeTextFile(`${path}.json`, "null"),
    (path) => Deno.writeTextFile(`${path}.json`, "{}"),
    (path) => Deno.writeTextFile(`${path}.json`, ""),
    (path) => Deno.remove(`${path}.json`),
    (path) => Deno.remove(path),
    (path) => Deno.truncate(path, 5000),
    (path) => Deno.writeTextFile(path, "more", { append: true }),
  ];
  for (const damage of damages) {
    await withFolder(async (folder) => {
      const path = `${folder}/w.bin`;
      preparedWeights(path, write);
      await damage(path);
      assertThrows(() => preparedWeights(path, refuse), Error, "written again", String(damage));
      assertWeights(preparedWeights(path, write));
    });
  }
});

Deno.test("preparedWeights() finds its file after the folder has moved", async () => {
  await withFolder(async (folder) => {
    preparedWeights(`${folder}/old/w.bin`, write);
    await Deno.rename(`${folder}/old`, `${folder}/new`);
    assertWeights(preparedWeights(`${folder}/new/w.bin`, refuse));
  });
});

Deno.test("preparedWeights() gives real paths, which the runtime asks for", async () => {
  await withFolder(async (folder) => {
    const real = await Deno.realPath(folder);
    await Deno.mkdir(`${folder}/disk`);
    await Deno.symlink(`${folder}/disk`, `${folder}/link`);
    for (const attempt of [write, refuse]) {
      const { a } = preparedWeights(`${folder}/link/w.bin`, attempt);
      assert(a?.kind === "float");
      assertEquals(a.place.file, `${real}/disk/w.bin`);
    }
  });
});

Deno.test("preparedWeights() says what to do where it cannot write", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "");
    assertThrows(
      () => preparedWeights(`${folder}/file/w.bin`, write),
      FetchError,
      "a part of the path is a file, not a folder; move that file away, or set KVJUDGE_HOME",
    );
  });
});

Deno.test("preparedWeights() lets two processes write the same weights at once", async () => {
  await withFolder(async (folder) => {
    const script = fileURLToPath(new URL("_prepare.ts", import.meta.url));
    const run = () =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", "--allow-read", "--allow-write", script, `${folder}/w.bin`],
      }).output();
    const outputs = await Promise.all([run(), run()]);
    const [one, two] = outputs.map(({ success, stdout, stderr }) => {
      assert(success, new TextDecoder().decode(stderr));
      return JSON.parse(new TextDecoder().decode(stdout));
    });
    assertEquals(one, two);
    assertEquals(names(folder), ["w.bin", "w.bin.json"]);
    assertEquals(preparedWeights(`${folder}/w.bin`, refuse), one);
    assertEquals(bytesAt(one.a.place), new Uint8Array(new Float32Array([1, 2, 3]).buffer));
  });
});

Deno.test("preparedWeights() writes weights again where a table does not say where they are", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/w.bin`;
    preparedWeights(path, write);
    const table = await Deno.readTextFile(`${path}.json`);
    const damages = [['"blocks"', '"bits"'], ['"rows":1', '"rows":"1"'], ['"offset":', '"of":']];
    for (const [from = "", to = ""] of damages) {
      const damaged = table.replace(from, to);
      assert(damaged !== table);
      await Deno.writeTextFile(`${path}.json`, damaged);
      assertWeights(preparedWeights(path, write));
      assertEquals(await Deno.readTextFile(`${path}.json`), table);
    }
  });
});
