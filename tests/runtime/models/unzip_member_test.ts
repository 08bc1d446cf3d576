import { zipSync } from "npm:fflate@0.8.3";
import { assertEquals, assertRejects } from "@std/assert";
import { SourceError } from "../../../runtime/models/hub_error.ts";
import { unzipMember } from "../../../runtime/models/unzip_member.ts";
import { temporaryFolder } from "./_context.ts";
import { sha256, testBytes } from "./_hub.ts";

async function unzip(archive: Uint8Array, member: string): Promise<Uint8Array> {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/a.zip`;
  await Deno.writeFile(path, archive);
  const chunks = await Array.fromAsync(unzipMember(path, member));
  return new Uint8Array(await new Blob(chunks.map((chunk) => chunk.slice())).arrayBuffer());
}

Deno.test("unzipMember() reads one file of several, compressed or stored", async () => {
  const content = testBytes(200_000);
  const files = { "a/one": testBytes(10), "a/two": content };
  assertEquals(sha256(await unzip(zipSync(files), "a/two")), sha256(content));
  assertEquals(sha256(await unzip(zipSync(files, { level: 0 }), "a/two")), sha256(content));
});

Deno.test("unzipMember() names a file that is not there", async () => {
  await assertRejects(
    () => unzip(zipSync({ a: testBytes(9) }), "b"),
    SourceError,
    "a.zip does not",
  );
});

Deno.test("unzipMember() reports a damaged or truncated archive", async () => {
  const archive = zipSync({ a: Uint8Array.from({ length: 9_000 }, (_, i) => (i * i) % 97) });
  await assertRejects(() => unzip(archive.slice(0, 100), "a"), SourceError, "it is damaged");
  archive.fill(0xff, 40, 80);
  await assertRejects(() => unzip(archive, "a"), SourceError, "it is damaged");
});
