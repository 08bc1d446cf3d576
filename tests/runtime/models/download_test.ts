import { assert, assertEquals, assertRejects } from "@std/assert";
import { FetchError } from "../../../runtime/errors.ts";
import { download, type RemoteFile } from "../../../runtime/models/download.ts";
import type { FetchProgress } from "../../../runtime/models/fetch_context.ts";
import { SourceError } from "../../../runtime/models/hub_error.ts";
import { closedEndpoint, filesBelow, temporaryFolder, testContext } from "./_context.ts";
import { COMMIT, sha256, startHub, testBytes } from "./_hub.ts";

const content = testBytes(20_000);

function remote(endpoint: string, given: Partial<RemoteFile> = {}): RemoteFile {
  return {
    name: "weights.bin",
    url: `${endpoint}/ada/tiny/resolve/${COMMIT}/weights.bin`,
    bytes: content.length,
    checksum: { kind: "sha256", value: sha256(content) },
    ...given,
  };
}

async function setUp() {
  const folder = await temporaryFolder();
  const hub = startHub([{ path: "weights.bin", content }]);
  const path = `${folder.path}/weights.bin`;
  return {
    hub,
    folder: folder.path,
    path,
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

Deno.test("download() stores the file and reports every byte", async () => {
  await using t = await setUp();
  const seen: FetchProgress[] = [];
  const onProgress = (progress: FetchProgress) => void seen.push(progress);
  await download(remote(t.hub.endpoint), t.path, testContext(t.folder, {}, { onProgress }));
  assertEquals(sha256(await Deno.readFile(t.path)), sha256(content));
  assertEquals(filesBelow(t.folder), ["weights.bin"]);
  assertEquals(seen[0], { file: "weights.bin", received: 0, total: 20_000, phase: "hub" });
  assertEquals(seen.at(-1)?.received, 20_000);
});

Deno.test("download() goes on where the connection was cut", async () => {
  await using t = await setUp();
  t.hub.cuts = [7_000, 5_000];
  await download(remote(t.hub.endpoint), t.path, testContext(t.folder, {}));
  assertEquals(sha256(await Deno.readFile(t.path)), sha256(content));
  assertEquals(t.hub.requests.map(({ range }) => range), [null, "bytes=7000-", "bytes=12000-"]);
});

Deno.test("download() goes on where an aborted run stopped", async () => {
  await using t = await setUp();
  const abort = new AbortController();
  const first = testContext(t.folder, {}, {
    signal: abort.signal,
    onProgress: ({ received }) => received >= 6_000 && abort.abort(new Error("Ctrl-C")),
  });
  await assertRejects(() => download(remote(t.hub.endpoint), t.path, first), Error, "Ctrl-C");
  const [partial = ""] = filesBelow(t.folder);
  const { size } = await Deno.stat(`${t.folder}/${partial}`);
  assert(partial.endsWith(".partial") && size >= 6_000 && size < 20_000, `${partial} ${size}`);

  await download(remote(t.hub.endpoint), t.path, testContext(t.folder, {}));
  assertEquals(sha256(await Deno.readFile(t.path)), sha256(content));
  assertEquals(t.hub.requests.at(-1)?.range, `bytes=${size}-`);
  assertEquals(filesBelow(t.folder), ["weights.bin"]);
});

Deno.test("download() starts anew when the hub ignores the range", async () => {
  await using t = await setUp();
  t.hub.cuts = [7_000];
  t.hub.ignoreRanges = true;
  await download(remote(t.hub.endpoint), t.path, testContext(t.folder, {}));
  assertEquals(sha256(await Deno.readFile(t.path)), sha256(content));
});

Deno.test("download() starts anew when what an earlier run left is damaged", async () => {
  await using t = await setUp();
  const partial = `${t.path}.${sha256(content).slice(0, 8)}.partial`;
  await Deno.writeFile(partial, testBytes(9_000, 5));
  await download(remote(t.hub.endpoint), t.path, testContext(t.folder, {}));
  assertEquals(sha256(await Deno.readFile(t.path)), sha256(content));
  assertEquals(t.hub.requests.map(({ range }) => range), ["bytes=9000-", null]);
});

Deno.test("download() keeps nothing of a file with a wrong checksum", async () => {
  await using t = await setUp();
  t.hub.files = [{ path: "weights.bin", content: testBytes(20_000, 7) }];
  const error = await assertRejects(
    () => download(remote(t.hub.endpoint), t.path, testContext(t.folder, {})),
    FetchError,
    `its checksum must be ${sha256(content)}, got ${sha256(testBytes(20_000, 7))}`,
  );
  assert(error.message.includes("nothing was kept"));
  assertEquals(filesBelow(t.folder), []);
});

Deno.test("download() refuses a file of another size before reading it", async () => {
  await using t = await setUp();
  t.hub.files = [{ path: "weights.bin", content: testBytes(30_000) }];
  await assertRejects(
    () => download(remote(t.hub.endpoint), t.path, testContext(t.folder, {})),
    FetchError,
    "it must have 20000 bytes, the hub has 30000",
  );
  assertEquals(filesBelow(t.folder), []);
});

Deno.test("download() says what 401, 403, 404 and 503 mean", async () => {
  await using t = await setUp();
  const fail = (status: number, variables: Record<string, string>) => {
    t.hub.status = status;
    const context = testContext(t.folder, variables);
    return assertRejects(() => download(remote(t.hub.endpoint), t.path, context), SourceError);
  };
  const host = new URL(t.hub.endpoint).host;
  const locked = await fail(401, {});
  assert(locked.message.includes(`${host} answered 401`), locked.message);
  assert(locked.message.includes("set HF_TOKEN"), locked.message);
  const refused = await fail(403, { HF_TOKEN: "hf_x" });
  assert(refused.message.includes("HF_TOKEN has no access"), refused.message);
  assert((await fail(404, {})).message.includes("check the name, the revision and the file"));
  assert((await fail(503, {})).message.includes("answered 503; try again later"));
});

Deno.test("download() shows the token of HF_TOKEN to the hub", async () => {
  await using t = await setUp();
  await download(remote(t.hub.endpoint), t.path, testContext(t.folder, { HF_TOKEN: "hf_x" }));
  assertEquals(t.hub.requests[0]?.token, "Bearer hf_x");
});

Deno.test("download() follows the hub to another host, which never sees the token", async () => {
  await using t = await setUp();
  await using front = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => Response.redirect(t.hub.endpoint + new URL(request.url).pathname, 302),
  );
  const endpoint = `http://127.0.0.1:${front.addr.port}`;
  await download(remote(endpoint), t.path, testContext(t.folder, { HF_TOKEN: "hf_x" }));
  assertEquals(t.hub.requests.map(({ token }) => token), [null]);
});

Deno.test("download() gives up at once when nobody listens", async () => {
  await using t = await setUp();
  const endpoint = closedEndpoint();
  const waits: number[] = [];
  const sleep = (milliseconds: number) => Promise.resolve(void waits.push(milliseconds));
  await assertRejects(
    () => download(remote(endpoint), t.path, testContext(t.folder, {}, { sleep })),
    SourceError,
    `${new URL(endpoint).host} could not be reached`,
  );
  assertEquals(waits, []);
  assertEquals(filesBelow(t.folder), []);
});

Deno.test("download() gives up when the hub does not answer in time", async () => {
  await using t = await setUp();
  const silent: typeof fetch = (_input, init) =>
    new Promise((_, reject) => {
      init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
    });
  const context = testContext(t.folder, {}, { fetch: silent, patience: 20 });
  await assertRejects(
    () => download(remote(t.hub.endpoint), t.path, context),
    SourceError,
    "could not be reached (No answer for 20 ms)",
  );
});

Deno.test("download() tries again when bytes stop coming, and gives up when none come", async () => {
  await using t = await setUp();
  t.hub.stallAfter = 3_000;
  const waits: number[] = [];
  const sleep = (milliseconds: number) => {
    // Some came at the first two tries, none come any more.
    if (waits.push(milliseconds) === 2) t.hub.stallAfter = 0;
    return Promise.resolve();
  };
  const context = testContext(t.folder, {}, { stall: 300, sleep });
  await assertRejects(
    () => download(remote(t.hub.endpoint), t.path, context),
    SourceError,
    "could not be reached (No answer for 300 ms)",
  );
  assertEquals(waits.slice(-3), [2_000, 4_000, 8_000]);
  assertEquals(filesBelow(t.folder).length, 1);
});
