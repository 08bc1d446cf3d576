import { assertEquals, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { neededPackages } from "../../scripts/gpu_bundle/packages.ts";
import { cutFile, manifestLines, partSize } from "../../scripts/gpu_bundle/parts.ts";
import { UNPACK } from "../../scripts/gpu_bundle/unpack_script.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("partSize() reads sizes and refuses what cannot be carried", () => {
  assertEquals(partSize("45MB"), 45_000_000);
  assertEquals(partSize("7kb"), 7000);
  assertEquals(partSize("12"), 12);
  for (const text of ["60MB", "1000MB", "0MB", "many", "4.5MB", "-1MB"]) {
    assertThrows(() => partSize(text), RangeError, text);
  }
});

Deno.test("cutFile() cuts a file into parts that make it up again", () =>
  inFolder(async (folder) => {
    const bytes = Uint8Array.from({ length: 1000 }, (_, index) => index * 7);
    await Deno.writeFile(`${folder}/whole`, bytes);
    const to = { folder: `${folder}/parts`, name: "whole", bytes: 300 };
    const file = await cutFile(`${folder}/whole`, to);
    assertEquals(file.parts.map(({ name }) => name), [0, 1, 2, 3].map((at) => `whole.0${at}`));
    assertEquals(file.parts.map((part) => part.bytes), [300, 300, 300, 100]);
    assertEquals(file.sha256, sha256(bytes));
    const joined: number[] = [];
    for (const { name, sha256: expected } of file.parts) {
      const part = await Deno.readFile(`${folder}/parts/${name}`);
      assertEquals(sha256(part), expected);
      joined.push(...part);
    }
    assertEquals(Uint8Array.from(joined), bytes);
    const even = await cutFile(`${folder}/whole`, { ...to, name: "even", bytes: 500 });
    assertEquals(even.parts.length, 2);
  }));

Deno.test("neededPackages() follows what is imported at once, not what is imported when needed", () => {
  const dependency = (specifier: string, more = {}) => ({
    specifier,
    code: { specifier },
    ...more,
  });
  const info = {
    roots: ["a"],
    redirects: { b: "c" },
    modules: [
      {
        specifier: "a",
        dependencies: [
          dependency("b"),
          dependency("d", { isDynamic: true }),
          dependency("npm:x", { npmPackage: "x@1" }),
          { specifier: "npm:types", npmPackage: "types@1" },
        ],
      },
      { specifier: "c", dependencies: [dependency("npm:y", { npmPackage: "y@1" })] },
      { specifier: "d", dependencies: [dependency("npm:z", { npmPackage: "z@1" })] },
    ],
    npmPackages: {
      "x@1": { dependencies: ["x-core@2"] },
      "x-core@2": { dependencies: ["x@1"] },
      "y@1": { dependencies: [] },
      "z@1": { dependencies: [] },
      "types@1": { dependencies: [] },
    },
  };
  assertEquals(neededPackages(info), ["x-core@2", "x@1", "y@1"]);
});

async function unpack(folder: string): Promise<{ readonly code: number; readonly said: string }> {
  const { code, stderr } = await new Deno.Command("bash", {
    args: [`${folder}/bundle/unpack.sh`, `${folder}/home`],
    stderr: "piped",
  }).output();
  return { code, said: new TextDecoder().decode(stderr) };
}

Deno.test("unpack.sh takes parts as they come, once, and refuses damaged ones", () =>
  inFolder(async (folder) => {
    const bytes = Uint8Array.from({ length: 700 }, (_, index) => index * 3);
    await Deno.writeFile(`${folder}/model.gguf`, bytes);
    const bundle = `${folder}/bundle`;
    const cut = { folder: bundle, name: "model.gguf", bytes: 300 };
    const file = await cutFile(`${folder}/model.gguf`, cut);
    await Deno.writeTextFile(`${bundle}/parts.txt`, manifestLines({ files: [file] }));
    await Deno.writeTextFile(`${bundle}/unpack.sh`, UNPACK);
    const model = `${folder}/home/models/model.gguf`;

    // The second part is not here yet, and then damaged.
    await Deno.rename(`${bundle}/model.gguf.01`, `${folder}/later`);
    assertEquals((await unpack(folder)).said.includes("not all parts are here yet"), true);
    await Deno.writeTextFile(`${bundle}/model.gguf.01`, "damaged");
    assertEquals((await unpack(folder)).said.includes("model.gguf.01 is damaged"), true);
    // The first one was taken in, and need not be there again.
    await Deno.remove(`${bundle}/model.gguf.00`);
    await Deno.rename(`${folder}/later`, `${bundle}/model.gguf.01`);
    const { code, said } = await unpack(folder);
    assertEquals(said.includes("model.gguf unpacked"), true, said);
    // Without a runtime nothing can run.
    assertEquals(code, 1);
    assertEquals(await Deno.readFile(model), bytes);
    assertEquals((await unpack(folder)).said.includes("unpacked"), false);
  }));
