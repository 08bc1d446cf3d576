import { assert, assertEquals } from "@std/assert";
import { knownFingerprint } from "../../../runtime/checkpoint/known_fingerprint.ts";
import { findModel } from "../../../runtime/models/find_model.ts";
import { removeModel } from "../../../runtime/models/remove_model.ts";
import type { CatalogModel } from "../../../runtime/models/catalog.ts";
import { fetchPinned, fetchReference } from "../../../runtime/models/fetch_model.ts";
import { listModels } from "../../../runtime/models/list_models.ts";
import { temporaryFolder, testContext } from "./_context.ts";
import { COMMIT, sha256, startHub, testBytes } from "./_hub.ts";

const content = testBytes(4_000);
const pinned = { name: "tiny.gguf", bytes: content.length, sha256: sha256(content) };
const hub = { repository: "ada/tiny", revision: COMMIT, file: "tiny.gguf" };
const catalog: CatalogModel[] = [
  { name: "tiny-pinned", about: "pinned", hub, pinned },
  { name: "tiny-folder", about: "folder", hub: { repository: "ada/tiny", revision: "main" } },
];

Deno.test("listModels() lists the catalog in an empty and in a missing home", async () => {
  await using home = await temporaryFolder();
  const expected = [
    { name: "tiny-pinned", about: "pinned", fetched: false, bytes: 4_000 },
    { name: "tiny-folder", about: "folder", fetched: false },
  ];
  assertEquals(await listModels(home.path, catalog), expected);
  assertEquals(await listModels(`${home.path}/none`, catalog), expected);
});

Deno.test("listModels() adds size and path of what was fetched, and other models", async () => {
  await using home = await temporaryFolder();
  await using server = startHub([
    { path: "config.json", content: testBytes(90), large: false },
    { path: "model.safetensors", content: testBytes(800) },
    { path: "tiny.gguf", content },
  ]);
  const context = testContext(home.path, { HF_ENDPOINT: server.endpoint });
  const path = await fetchPinned({ name: "tiny-pinned", about: "", hub, pinned }, context);
  const folder = await fetchReference({ repository: "ada/tiny", revision: "main" }, context);
  const other = await fetchReference({ ...hub, revision: "refs/pr/1" }, context);
  assertEquals(await listModels(home.path, catalog), [
    { name: "tiny-pinned", about: "pinned", fetched: true, bytes: 4_000, path },
    { name: "tiny-folder", about: "folder", fetched: true, bytes: 890, path: folder },
    { name: "ada/tiny@refs/pr/1:tiny.gguf", about: "", fetched: true, bytes: 4_000, path: other },
  ]);
  await Deno.remove(`${folder}/config.json`);
  assertEquals((await listModels(home.path, catalog))[1]?.fetched, false);
});

Deno.test("listModels() tells what was converted from a model, and removing takes it along", async () => {
  await using home = await temporaryFolder();
  const folder = new URL("../../fixtures/tiny-llama/", import.meta.url);
  const files = ["config.json", "model.safetensors"].map((name) => ({
    path: name,
    content: Deno.readFileSync(new URL(name, folder)),
  }));
  await using server = startHub(files);
  const context = testContext(home.path, { HF_ENDPOINT: server.endpoint });
  const path = await fetchReference({ repository: "ada/tiny", revision: "main" }, context);
  const listed = async () => (await listModels(home.path, catalog))[1]?.converted;
  assertEquals(await listed(), undefined);
  // Weights of another model, and nothing that is known of this one: no file is hashed to find out.
  await Deno.mkdir(`${home.path}/weights`);
  await Deno.writeTextFile(`${home.path}/weights/aa-int8-1.bin`, "of another");
  assertEquals(await listed(), undefined);
  const fingerprint = await knownFingerprint(path, home.path);
  assertEquals(await listed(), undefined);
  for (
    const [name, bytes] of [["int8-1.bin", 30], ["int8-1.bin.json", 4], ["int8-1.bin.x.part", 5]]
  ) {
    await Deno.writeFile(`${home.path}/weights/${fingerprint}-${name}`, testBytes(Number(bytes)));
  }
  assertEquals(await listed(), 39);
  const model = await findModel(home.path, "tiny-folder", "remove", catalog);
  const { signal } = new AbortController();
  assert(fingerprint !== undefined);
  await removeModel(home.path, model, { signal, fingerprint });
  assertEquals([...Deno.readDirSync(`${home.path}/weights`)].map(({ name }) => name), [
    "aa-int8-1.bin",
  ]);
});
