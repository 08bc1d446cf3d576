import { assert, assertEquals, assertRejects } from "@std/assert";
import { FetchError, KvjudgeError } from "../../../runtime/errors.ts";
import { loadModel } from "../../../runtime/model.ts";
import type { CatalogModel } from "../../../runtime/models/catalog.ts";
import { fetchPinned, fetchReference } from "../../../runtime/models/fetch_model.ts";
import { findModel } from "../../../runtime/models/find_model.ts";
import { listModels } from "../../../runtime/models/list_models.ts";
import { isInUse, markInUse } from "../../../runtime/models/model_use.ts";
import { finishRemovals, removeModel } from "../../../runtime/models/remove_model.ts";
import { verifyModel } from "../../../runtime/models/verify_model.ts";
import { fixture } from "../../_test_model.ts";
import { filesBelow, temporaryFolder, testContext } from "./_context.ts";
import { COMMIT, sha256, startHub, testBytes } from "./_hub.ts";

const { signal } = new AbortController();
const content = testBytes(4_000);
const pinned = { name: "tiny.gguf", bytes: content.length, sha256: sha256(content) };
const hub = { repository: "ada/tiny", revision: COMMIT, file: "tiny.gguf" };
const catalog: CatalogModel[] = [{ name: "tiny-pinned", about: "pinned", hub, pinned }];
const FILES = [
  { path: "config.json", content: testBytes(90), large: false },
  { path: "model.safetensors", content: testBytes(800) },
  { path: "tiny.gguf", content },
];

/** Everything below a home but locks, which stay. */
const left = (home: string) => filesBelow(home).filter((name) => !name.startsWith("locks/"));

Deno.test("removeModel() removes a pinned model, its partial downloads and converted weights", async () => {
  await using home = await temporaryFolder();
  await using server = startHub([...FILES]);
  const context = testContext(home.path, { HF_ENDPOINT: server.endpoint });
  const path = await fetchPinned({ name: "tiny-pinned", about: "", hub, pinned }, context);
  await Deno.writeFile(`${path}.1234abcd.partial`, testBytes(10));
  await Deno.mkdir(`${home.path}/weights`);
  await Deno.writeTextFile(`${home.path}/weights/aa-int8-1.bin`, "12345");
  await Deno.writeTextFile(`${home.path}/weights/bb-int8-1.bin`, "of another");
  const model = await findModel(home.path, "Tiny-Pinned", "remove", catalog);
  const removal = await removeModel(home.path, model, { signal, fingerprint: "aa" });
  assertEquals(removal, { files: 3, bytes: 4_015 });
  assertEquals(left(home.path), ["weights/bb-int8-1.bin"]);
  assertEquals((await listModels(home.path, catalog))[0]?.fetched, false);
  await assertRejects(
    () => findModel(home.path, "tiny-pinned", "remove", catalog),
    FetchError,
    'Cannot remove "tiny-pinned": no model of that name was fetched',
  );
});

Deno.test("finishRemovals() finishes what a killed removal began, at whatever moment that was", async () => {
  // Its steps: the plan, the record, each file, the folder of what is doomed.
  for (const killedAfter of [0, 1, 2, 3]) {
    await using home = await temporaryFolder();
    await using server = startHub([...FILES]);
    const context = testContext(home.path, { HF_ENDPOINT: server.endpoint });
    await fetchReference({ repository: "ada/tiny", revision: "v1" }, context);
    const model = await findModel(home.path, "ada/tiny@v1", "remove");
    const doomed = `${home.path}/tmp/removed-killed`;
    const { name, lock, folder, record } = model;
    const paths = model.files.map(({ path }) => path);
    await Deno.mkdir(doomed, { recursive: true });
    const plan = { name, lock, folder, paths, record: record?.path };
    await Deno.writeTextFile(`${doomed}/plan.json`, JSON.stringify(plan));
    if (killedAfter > 0) await Deno.remove(record?.path ?? "");
    for (const [index, path] of paths.slice(0, Math.max(0, killedAfter - 1)).entries()) {
      await Deno.rename(path, `${doomed}/${index}`);
    }
    const finished = await finishRemovals(home.path, { signal });
    // Before its record is gone the model is whole, and stays.
    assertEquals(finished, killedAfter === 0 ? [] : ["ada/tiny@v1"]);
    if (killedAfter === 0) await findModel(home.path, "ada/tiny@v1", "remove");
    else assertEquals(left(home.path), []);
    assertEquals(await finishRemovals(home.path, { signal }), []);
  }
});

Deno.test("finishRemovals() touches nothing outside of its home, nor what is no plan", async () => {
  await using home = await temporaryFolder();
  await using other = await temporaryFolder();
  await Deno.writeTextFile(`${other.path}/mine.txt`, "mine");
  const plan = { name: "x", lock: "x", folder: other.path, paths: [`${other.path}/mine.txt`] };
  for (const [name, text] of [["a", JSON.stringify({ ...plan, record: "no" })], ["b", "{"]]) {
    await Deno.mkdir(`${home.path}/tmp/removed-${name}`, { recursive: true });
    await Deno.writeTextFile(`${home.path}/tmp/removed-${name}/plan.json`, text ?? "");
  }
  await finishRemovals(home.path, { signal });
  assertEquals(await Deno.readTextFile(`${other.path}/mine.txt`), "mine");
  assertEquals(left(home.path), []);
});

Deno.test("removeModel() leaves files that another revision shares", async () => {
  await using home = await temporaryFolder();
  await using server = startHub([...FILES]);
  const context = testContext(home.path, { HF_ENDPOINT: server.endpoint });
  await fetchReference({ repository: "ada/tiny", revision: "main" }, context);
  const tagged = await fetchReference({ repository: "ada/tiny", revision: "v1" }, context);
  await fetchReference(hub, context);
  const remove = async (name: string) =>
    await removeModel(home.path, await findModel(home.path, name, "remove"), { signal });
  assertEquals((await remove("ada/tiny")).files, 0);
  assertEquals(filesBelow(tagged), ["config.json", "model.safetensors", "tiny.gguf"]);
  assertEquals((await remove(`ada/tiny@${COMMIT}:tiny.gguf`)).files, 1);
  assertEquals(filesBelow(tagged), ["config.json", "model.safetensors"]);
  assertEquals(await remove("ada/tiny@v1"), { files: 2, bytes: 890 });
  assertEquals(left(home.path), []);
});

Deno.test("removeModel() leaves a model alone that a process has open", async () => {
  await using home = await temporaryFolder();
  await using server = startHub([...FILES]);
  const context = testContext(home.path, { HF_ENDPOINT: server.endpoint });
  const path = await fetchReference(hub, context);
  const model = await findModel(home.path, `ada/tiny@${COMMIT}:tiny.gguf`, "remove");
  {
    using _first = markInUse(home.path, path);
    using _second = markInUse(home.path, path);
    assertEquals((await listModels(home.path, [])).at(-1)?.inUse, true);
    await assertRejects(
      () => removeModel(home.path, model, { signal }),
      FetchError,
      `Cannot remove ada/tiny@${COMMIT}:tiny.gguf: a process is using it`,
    );
  }
  assertEquals(await isInUse(home.path, path), false);
  assertEquals(sha256(await Deno.readFile(path)), sha256(content));
  await removeModel(home.path, model, { signal });
  assertEquals(left(home.path), []);
});

Deno.test("verifyModel() compares every file with the checksum of its fetch", async () => {
  await using home = await temporaryFolder();
  await using server = startHub([...FILES]);
  const context = testContext(home.path, { HF_ENDPOINT: server.endpoint });
  const folder = await fetchReference({ repository: "ada/tiny", revision: "main" }, context);
  const model = await findModel(home.path, "ada/tiny", "verify");
  const outcomes = async () => (await verifyModel(model)).map(({ outcome }) => outcome);
  assertEquals(await outcomes(), ["whole", "whole"]);
  const bytes = await Deno.readFile(`${folder}/model.safetensors`);
  bytes[400] = (bytes[400] ?? 0) ^ 1;
  await Deno.writeFile(`${folder}/model.safetensors`, bytes);
  const [, damaged] = await verifyModel(model);
  assertEquals(damaged?.outcome, "damaged");
  assertEquals([damaged?.expected, damaged?.found], [sha256(testBytes(800)), sha256(bytes)]);
});

Deno.test("verifyModel() says where an older version recorded no checksum", async () => {
  await using home = await temporaryFolder();
  await using server = startHub([...FILES]);
  const context = testContext(home.path, { HF_ENDPOINT: server.endpoint });
  await fetchReference({ repository: "ada/tiny", revision: "main" }, context);
  const record = `${home.path}/hub/ada/tiny/records/main.json`;
  const { commit, files } = JSON.parse(await Deno.readTextFile(record));
  assert(files.every((file: { checksum: unknown }) => file.checksum));
  const old = files.map(({ path, bytes }: Record<string, unknown>) => ({ path, bytes }));
  await Deno.writeTextFile(record, JSON.stringify({ commit, files: old }));
  const verified = await verifyModel(await findModel(home.path, "ada/tiny", "verify"));
  assertEquals(verified.map(({ outcome }) => outcome), ["unknown", "unknown"]);
});

Deno.test("findModel() does not follow a record out of its folder", async () => {
  await using home = await temporaryFolder();
  const records = `${home.path}/hub/ada/tiny/records`;
  await Deno.mkdir(records, { recursive: true });
  await Deno.writeTextFile(`${home.path}/mine.txt`, "mine");
  for (
    const record of [
      { commit: COMMIT, files: [{ path: "../../../../mine.txt", bytes: 4 }] },
      { commit: "../../..", files: [{ path: "mine.txt", bytes: 4 }] },
      { commit: COMMIT, files: [{ path: `${home.path}/mine.txt`, bytes: 4 }] },
      { commit: COMMIT, files: [null] },
    ]
  ) {
    await Deno.writeTextFile(`${records}/main.json`, JSON.stringify(record));
    await assertRejects(() => findModel(home.path, "ada/tiny", "remove"), FetchError, "no model");
  }
  assertEquals(await Deno.readTextFile(`${home.path}/mine.txt`), "mine");
});

Deno.test("loadModel() marks a fetched model as in use until it is closed, or does not load", async () => {
  await using home = await temporaryFolder();
  const path = `${home.path}/tiny.gguf`;
  await Deno.copyFile(fixture("gguf/tiny-sentencepiece.gguf"), path);
  {
    await using _model = await loadModel(path, { home: home.path, threads: 1 });
    assertEquals(await isInUse(home.path, path), true);
  }
  assertEquals(await isInUse(home.path, path), false);
  await Deno.truncate(path, 1000);
  await assertRejects(() => loadModel(path, { home: home.path, threads: 1 }), KvjudgeError);
  assertEquals(await isInUse(home.path, path), false);
});

Deno.test("markInUse() leaves nothing behind for a model outside of its home", async () => {
  await using home = await temporaryFolder();
  using _mark = markInUse(home.path, fixture("tiny-llama"));
  assertEquals(filesBelow(home.path), []);
});
