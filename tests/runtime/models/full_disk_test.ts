import { assert, assertEquals, assertRejects } from "@std/assert";
import { FetchError } from "../../../runtime/errors.ts";
import { fetchReference } from "../../../runtime/models/fetch_model.ts";
import { filesBelow, testContext } from "./_context.ts";
import { sha256, startHub, testBytes } from "./_hub.ts";

/** Runs a program and says whether it succeeded. */
function succeeds(command: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

/** Mounts a disk of so many bytes, where this user may. */
function mountDisk(path: string, bytes: number, ...options: string[]): boolean {
  return Deno.build.os === "linux" &&
    succeeds("mount", "-t", "tmpfs", "-o", [`size=${bytes}`, ...options].join(), "tmpfs", path);
}

function mayMount(): boolean {
  const path = Deno.makeTempDirSync();
  const mounted = mountDisk(path, 65_536) && succeeds("umount", path);
  Deno.removeSync(path);
  return mounted;
}

Deno.test({
  name: "fetchReference() says that the disk is full, and goes on where it stopped once it is not",
  ignore: !mayMount(),
  async fn() {
    const disk = await Deno.makeTempDir({ prefix: "kvjudge-disk-" });
    assert(mountDisk(disk, 262_144));
    try {
      const content = testBytes(600_000);
      await using hub = startHub([{ path: "tiny.gguf", content }]);
      const context = testContext(disk, { HF_ENDPOINT: hub.endpoint });
      const reference = { repository: "ada/tiny", revision: "main" };
      await assertRejects(
        () => fetchReference(reference, context),
        FetchError,
        "the disk is full; free space and run again to go on where it stopped",
      );
      const [, partial = "", ...others] = filesBelow(disk).sort((a) => a.startsWith("l") ? -1 : 1);
      assert(partial.endsWith(".partial"), partial);
      assertEquals(others, []);

      assert(mountDisk(disk, 2_097_152, "remount"));
      const path = await fetchReference(reference, context);
      assertEquals(sha256(await Deno.readFile(path)), sha256(content));
      const range = hub.requests.at(-1)?.range ?? "";
      assert(Number(/^bytes=(\d+)-$/.exec(range)?.[1]) > 100_000, range);
    } finally {
      assert(succeeds("umount", disk));
      await Deno.remove(disk);
    }
  },
});
