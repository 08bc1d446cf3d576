import { assertEquals, assertThrows } from "@std/assert";
import { fileError, openRange } from "../../../runtime/checkpoint/file_range.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import { withFolder } from "../../_temp_folder.ts";

Deno.test("openRange() reads ranges in any order and closes the file", async () => {
  await withFolder((folder) => {
    const path = `${folder}/x`;
    Deno.writeFileSync(path, Uint8Array.from({ length: 100 }, (_, i) => i));
    const bytes = new Uint8Array(3);
    const file = openRange(path);
    {
      using open = file;
      assertEquals(open.size, 100);
      open.read(bytes, 97);
      assertEquals([...bytes], [97, 98, 99]);
      open.read(bytes, 4);
      assertEquals([...bytes], [4, 5, 6]);
      open.read(bytes.subarray(0, 0), 100);
    }
    assertThrows(() => file.read(bytes, 0), CheckpointError, `Cannot read ${path}`);
  });
});

Deno.test("openRange() names the byte where a file ends too early", async () => {
  await withFolder((folder) => {
    Deno.writeFileSync(`${folder}/x`, new Uint8Array(10));
    using file = openRange(`${folder}/x`);
    assertThrows(
      () => file.read(new Uint8Array(8), 4),
      CheckpointError,
      "it ends at byte 10, but 8 bytes are needed from byte 4",
    );
  });
});

Deno.test("fileError() makes a sentence of what the file system threw", () => {
  const cases = [
    [new Deno.errors.NotFound("os error 2"), "Cannot read x: it does not exist."],
    [new Deno.errors.PermissionDenied(""), "Cannot read x: reading it is not permitted."],
    [new Deno.errors.NotCapable(""), "Cannot read x: reading it is not permitted."],
    [new Error("disk on fire"), "Cannot read x: disk on fire."],
    ["odd", "Cannot read x: odd."],
  ] as const;
  for (const [thrown, message] of cases) assertEquals(fileError("x", thrown).message, message);
  const own = new CheckpointError("Its own sentence.");
  assertEquals(fileError("x", own), own);
});
