import { assert, assertEquals, assertRejects } from "@std/assert";
import { FetchError } from "../../../runtime/errors.ts";
import { fetchReference } from "../../../runtime/models/fetch_model.ts";
import { mayMount, mountDisk, unmount } from "../../_mounted_disk.ts";
import { filesBelow, testContext } from "./_context.ts";
import { sha256, startHub, testBytes } from "./_hub.ts";

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
      assert(unmount(disk));
      await Deno.remove(disk);
    }
  },
});
