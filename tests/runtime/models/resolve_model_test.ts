import { assert, assertEquals, assertRejects } from "@std/assert";
import { resolve } from "node:path";
import { FetchError } from "../../../runtime/errors.ts";
import type { CatalogModel } from "../../../runtime/models/catalog.ts";
import { resolveModel, type ResolveOptions } from "../../../runtime/models/resolve_model.ts";
import { temporaryFolder, testContext } from "./_context.ts";
import { COMMIT, sha256, startHub, testBytes } from "./_hub.ts";

const content = testBytes(4_000);
const catalog: CatalogModel[] = [
  {
    name: "tiny-pinned",
    about: "",
    hub: { repository: "ada/tiny", revision: COMMIT, file: "tiny.gguf" },
    pinned: { name: "tiny.gguf", bytes: content.length, sha256: sha256(content) },
  },
  { name: "tiny-folder", about: "", hub: { repository: "ada/tiny", revision: "main" } },
];

const nowhere: ResolveOptions = {
  catalog,
  fetch: () => Promise.reject(new Error("a test must not use the network")),
};

Deno.test("resolveModel() finds local folders and files first", async () => {
  await using folder = await temporaryFolder();
  const file = `${folder.path}/a.gguf`;
  await Deno.writeTextFile(file, "GGUF");
  assertEquals(await resolveModel(folder.path, nowhere), resolve(folder.path));
  assertEquals(await resolveModel(file, nowhere), resolve(file));
  assertEquals(await resolveModel("tests/fixtures", nowhere), resolve("tests/fixtures"));
});

Deno.test("resolveModel() fetches by name, whatever the case, and by address", async () => {
  await using home = await temporaryFolder();
  await using hub = startHub([
    { path: "config.json", content: testBytes(90), large: false },
    { path: "model.safetensors", content: testBytes(800) },
    { path: "tiny.gguf", content },
  ]);
  const options = { ...testContext(home.path, { HF_ENDPOINT: hub.endpoint }), catalog };
  const pinned = await resolveModel("Tiny-Pinned", options);
  assertEquals(sha256(await Deno.readFile(pinned)), sha256(content));
  const folder = await resolveModel("tiny-folder", options);
  assertEquals((await Deno.stat(`${folder}/model.safetensors`)).size, 800);
  assertEquals(await resolveModel("ada/tiny", options), folder);
  const file = await resolveModel("ada/tiny@v1:tiny.gguf", options);
  assertEquals(sha256(await Deno.readFile(file)), sha256(content));
  assert(hub.requests.some(({ path }) => path === "/api/models/ada/tiny/revision/v1"));
});

Deno.test("resolveModel() asks what was meant by an unknown name", async () => {
  await assertRejects(
    () => resolveModel("tiny-pined", nowhere),
    FetchError,
    'Cannot find model "tiny-pined": did you mean tiny-pinned? Give a name (tiny-pinned, ',
  );
  await assertRejects(() => resolveModel("tiny", nowhere), FetchError, "mean tiny-pinned?");
  const far = await assertRejects(() => resolveModel("bert", nowhere), FetchError);
  assertEquals(far.message.includes("did you mean"), false);
  await assertRejects(() => resolveModel("", nowhere), FetchError, 'Cannot find model ""');
});

Deno.test("resolveModel() takes a path that does not exist for a path", async () => {
  for (const path of ["./no", "/no/such", "models/no.gguf", "a\\b"]) {
    await assertRejects(
      () => resolveModel(path, nowhere),
      FetchError,
      `Cannot open ${path}: there is no such file or folder`,
    );
  }
});

Deno.test("resolveModel() stays offline with HF_HUB_OFFLINE", async () => {
  await using home = await temporaryFolder();
  const environment = (name: string) => name === "HF_HUB_OFFLINE" ? "1" : undefined;
  await assertRejects(
    () => resolveModel("tiny-folder", { ...nowhere, environment, home: home.path }),
    FetchError,
    "Cannot fetch ada/tiny@main: fetching is switched off",
  );
});
