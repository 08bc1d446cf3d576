import { assert, assertEquals, assertRejects } from "@std/assert";
import { openStore } from "../../queue/store/open_store.ts";
import { type Store, storedPath } from "../../queue/store/store.ts";
import { StorageError } from "../../runtime/errors.ts";
import { testFolder } from "../commands/_run_cli.ts";
import { freePort } from "./_queue_server.ts";
import { HAS_S3, startS3Server } from "./_s3_server.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** What every store must do. */
async function checkStore(store: Store, folder: string): Promise<void> {
  const file = await store.put(bytesOf("attention"));
  assertEquals(file, {
    sha256: "e0787d272a439bb74b762d96f1cef3d04a18328a8d900f5c13a6e925d9da681c",
    bytes: 9,
  });
  assertEquals(await store.put(bytesOf("attention")), file);
  assertEquals(new TextDecoder().decode(await store.read(file)), "attention");
  assert(await store.has(file));
  // Larger than the pieces in which files are read.
  const large = `${folder}/large`;
  await Deno.writeFile(large, new Uint8Array(5 << 20).fill(7));
  const stored = await store.putFile(large);
  assertEquals(stored.bytes, 5 << 20);
  await store.fetch(stored, `${folder}/fetched`);
  assertEquals((await Deno.stat(`${folder}/fetched`)).size, stored.bytes);
  const damaged = { ...file, sha256: stored.sha256 };
  await assertRejects(
    () => store.fetch(damaged, `${folder}/other`),
    StorageError,
    "other data lie",
  );
  assert(!await Deno.stat(`${folder}/other`).then(() => true, () => false), "half-written");
  assertEquals(await store.label("documents/a"), undefined);
  await store.setLabel("documents/a", "first");
  await store.setLabel("documents/a", "second");
  assertEquals(await store.label("documents/a"), "second");
  await store.removeLabel("documents/a");
  await store.removeLabel("documents/a");
  assertEquals(await store.label("documents/a"), undefined);
  await store.remove(file);
  await store.remove(file);
  assertEquals(await store.has(file), false);
  await assertRejects(() => store.read(file), StorageError, "same 'store'");
}

Deno.test("a folder is a store", async () => {
  using folder = testFolder();
  const shared = `${folder.path}/shared`;
  await Deno.mkdir(shared);
  using store = await openStore(`file://${shared}`);
  await checkStore(store, folder.path);
  // Damage is found by the digest, whatever the size says.
  const file = await store.put(bytesOf("attention"));
  await Deno.writeTextFile(`${shared}/${storedPath(file)}`, "Attention");
  await assertRejects(() => store.read(file), StorageError, "other data lie there under that name");
});

Deno.test("a store that is none is told in one sentence", async () => {
  const refused = (address: string, said: string) =>
    assertRejects(() => openStore(address), StorageError, said);
  await refused("shared", "it is no URL; give file:///FOLDER");
  await refused("https://example.org/store", "it is neither");
  await refused("file:///no/such/folder", "there is no such folder here");
  await refused("s3://key:secret@bucket/x", "which the list of processes shows");
});

Deno.test({
  name: "a full store is told, and nothing is half-written",
  async fn(test) {
    using folder = testFolder();
    const { path } = folder;
    const mounted = await new Deno.Command("mount", {
      args: ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path],
      stderr: "null",
    }).output().then(({ success }) => success, () => false);
    await test.step({
      name: "on a file system of one megabyte",
      ignore: !mounted,
      async fn() {
        try {
          using store = await openStore(`file://${path}`);
          const much = new Uint8Array(2 << 20);
          await assertRejects(() => store.put(much), StorageError, "the disk is full");
          const names = [...Deno.readDirSync(path)].flatMap(({ name }) =>
            [...Deno.readDirSync(`${path}/${name}`)].map((file) => file.name)
          );
          assertEquals(names, []);
        } finally {
          await new Deno.Command("umount", { args: [path] }).output();
        }
      },
    });
  },
});

Deno.test({
  name: "a bucket is a store",
  ignore: !HAS_S3,
  async fn() {
    using folder = testFolder();
    await using server = await startS3Server("kvjudge");
    const before = new Map(Object.keys(server.env).map((name) => [name, Deno.env.get(name)]));
    for (const [name, value] of Object.entries(server.env)) Deno.env.set(name, value);
    try {
      {
        using store = await openStore("s3://kvjudge/runs/");
        assertEquals(store.shown, "s3://kvjudge/runs/");
        await checkStore(store, folder.path);
      }
      const refused = (address: string, said: string) =>
        assertRejects(() => openStore(address), StorageError, said);
      await refused("s3://other-bucket/", "there is no such bucket");
      Deno.env.set("AWS_SECRET_ACCESS_KEY", "another secret");
      await refused("s3://kvjudge/", "it refuses these keys");
      Deno.env.set("AWS_ENDPOINT_URL", `http://127.0.0.1:${freePort()}`);
      await refused("s3://kvjudge/", "nothing listens there");
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) Deno.env.delete(name);
        else Deno.env.set(name, value);
      }
    }
  },
});
