import { assertEquals, assertRejects } from "@std/assert";
import { FetchError } from "../../../runtime/errors.ts";
import { openVerifiedFile } from "../../../runtime/models/verified_file.ts";
import { filesBelow, temporaryFolder } from "./_context.ts";
import { sha256, testBytes } from "./_hub.ts";

const content = testBytes(100);
const checksum = { kind: "sha256", value: sha256(content) } as const;

Deno.test("openVerifiedFile() goes on with what is there and gives the final name at the end", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/sub/file`;
  {
    await using file = await openVerifiedFile(path, 100, checksum);
    await file.write(content.subarray(0, 60));
  }
  await using file = await openVerifiedFile(path, 100, checksum);
  assertEquals(file.received, 60);
  assertEquals(filesBelow(folder.path), [`sub/file.${checksum.value.slice(0, 8)}.partial`]);
  await file.write(content.subarray(60));
  assertEquals(await file.finish(), {});
  assertEquals(sha256(await Deno.readFile(path)), sha256(content));
  assertEquals(filesBelow(folder.path), ["sub/file"]);
});

Deno.test("openVerifiedFile() finish() returns the checksum of wrong and incomplete files", async () => {
  await using folder = await temporaryFolder();
  await using file = await openVerifiedFile(`${folder.path}/file`, 100, checksum);
  await file.write(content.subarray(0, 50));
  assertEquals(await file.finish(), { found: sha256(content.subarray(0, 50)) });
  await file.restart();
  await file.write(content);
  assertEquals(await file.finish(), {});
});

Deno.test("openVerifiedFile() throws away what is longer than the file", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/file`;
  await Deno.writeFile(`${path}.${checksum.value.slice(0, 8)}.partial`, testBytes(101));
  await using file = await openVerifiedFile(path, 100, checksum);
  assertEquals(file.received, 0);
});

Deno.test("openVerifiedFile() leaves nothing behind when nothing was written", async () => {
  await using folder = await temporaryFolder();
  {
    await using _file = await openVerifiedFile(`${folder.path}/file`, 100, checksum);
  }
  assertEquals(filesBelow(folder.path), []);
});

Deno.test("openVerifiedFile() computes the checksum of a Git blob", async () => {
  await using folder = await temporaryFolder();
  const text = new TextEncoder().encode("hello\n");
  // git hash-object
  const value = "ce013625030ba8dba906f756967f9e9ca394464a";
  await using file = await openVerifiedFile(`${folder.path}/file`, 6, { kind: "git", value });
  await file.write(text);
  assertEquals(await file.finish(), {});
});

Deno.test("openVerifiedFile() names a folder that cannot be made", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/sub`, "");
  const path = `${folder.path}/sub/file`;
  await assertRejects(
    () => openVerifiedFile(path, 100, checksum),
    FetchError,
    `Cannot store ${path}: a part of the path is a file`,
  );
});
