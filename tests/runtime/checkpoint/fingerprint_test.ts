import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { fingerprintOf } from "../../../runtime/checkpoint/fingerprint.ts";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import { writeFolder, writeGguf } from "../../_random_checkpoint.ts";
import { withFolder } from "../../_temp_folder.ts";

async function sha256(...files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) hash.update(await Deno.readFile(file));
  return hash.digest("hex");
}

Deno.test("fingerprint() of a GGUF file is the SHA-256 of the file", async () => {
  await withFolder(async (folder) => {
    await writeGguf(`${folder}/x.gguf`);
    const { fingerprint } = await openCheckpoint(`${folder}/x.gguf`);
    assertEquals(await fingerprint(), await sha256(`${folder}/x.gguf`));
  });
});

Deno.test("fingerprint() of a folder covers the config and all shards in order", async () => {
  await withFolder(async (folder) => {
    await writeFolder(folder, {}, { shards: 2 });
    const parts = [
      "config.json",
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
    ];
    const { fingerprint } = await openCheckpoint(folder);
    assertEquals(await fingerprint(), await sha256(...parts.map((name) => `${folder}/${name}`)));
  });
});

Deno.test("fingerprint() is the same wherever the files lie, and differs with one weight", async () => {
  const prints: string[] = [];
  for (const seed of [1, 1, 2]) {
    await withFolder(async (folder) => {
      await writeFolder(folder, { seed });
      prints.push(await (await openCheckpoint(folder)).fingerprint());
    });
  }
  assertEquals(prints[0], prints[1]);
  assertNotEquals(prints[0], prints[2]);
});

Deno.test("fingerprintOf() hashes files longer than its batches", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/long`;
    await Deno.writeFile(path, Uint8Array.from({ length: 9_000_001 }, (_, i) => i * i >> 8));
    assertEquals(await fingerprintOf([path])(), await sha256(path));
  });
});

Deno.test("fingerprintOf() remembers in its home, as long as path, size and time are the same", async () => {
  await withFolder(async (folder) => {
    const [path, home] = [`${folder}/weights`, `${folder}/home`];
    const time = new Date(1_700_000_000_000);
    const write = async (text: string, modified = time) => {
      await Deno.writeTextFile(path, text);
      await Deno.utime(path, modified, modified);
    };
    await write("aaaa");
    const first = await fingerprintOf([path], { home })();
    assertEquals(first, await sha256(path));
    assertEquals([...Deno.readDirSync(`${home}/fingerprints`)].length, 1);
    // Same size and time: only a remembered value can still be the first one.
    await write("bbbb");
    assertEquals(await fingerprintOf([path], { home })(), first);
    assertEquals(await fingerprintOf([path])(), await sha256(path));
    await write("bbbb", new Date(time.getTime() + 1000));
    assertEquals(await fingerprintOf([path], { home })(), await sha256(path));
    await write("ccccc");
    assertEquals(await fingerprintOf([path], { home })(), await sha256(path));
  });
});

Deno.test("fingerprintOf() hashes anew when what it remembered is damaged", async () => {
  await withFolder(async (folder) => {
    const [path, home] = [`${folder}/weights`, `${folder}/home`];
    await Deno.writeTextFile(path, "aaaa");
    const first = await fingerprintOf([path], { home })();
    for (const { name } of Deno.readDirSync(`${home}/fingerprints`)) {
      await Deno.writeTextFile(`${home}/fingerprints/${name}`, first.slice(0, 10));
    }
    assertEquals(await fingerprintOf([path], { home })(), first);
  });
});

Deno.test("fingerprintOf() works with a home that cannot be written", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/weights`;
    await Deno.writeTextFile(path, "aaaa");
    assertEquals(await fingerprintOf([path], { home: path })(), await sha256(path));
  });
});

Deno.test("fingerprintOf() hashes once per object, and tries again after a failure", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/weights`;
    const fingerprint = fingerprintOf([path]);
    await assertRejects(() => fingerprint(), CheckpointError, `Cannot read ${path}`);
    await Deno.writeTextFile(path, "aaaa");
    const first = await fingerprint();
    await Deno.remove(path);
    assertEquals(await fingerprint(), first);
  });
});
