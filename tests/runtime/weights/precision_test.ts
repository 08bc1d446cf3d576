import { assertEquals, assertThrows } from "@std/assert";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import { settlePrecision } from "../../../runtime/weights/precision.ts";
import { writeGguf } from "../../_random_checkpoint.ts";
import { withFolder } from "../../_temp_folder.ts";

Deno.test("settlePrecision() takes 4-bit files as they are and the others in 8 bits", async () => {
  await withFolder(async (folder) => {
    for (
      const [type, expected] of [["F16", "int8"], ["Q8_0", "int8"], ["Q4_0", "int4"], [
        "Q4_1",
        "int4",
      ]] as const
    ) {
      const path = `${folder}/${type}.gguf`;
      await writeGguf(path, {}, { type });
      const checkpoint = await openCheckpoint(path);
      assertEquals(settlePrecision(checkpoint, "auto"), expected, type);
      assertEquals(settlePrecision(checkpoint, "fp32"), "fp32");
      assertEquals(settlePrecision(checkpoint, "int8"), "int8");
      if (expected === "int4") assertEquals(settlePrecision(checkpoint, "int4"), "int4");
      else {
        assertThrows(
          () => settlePrecision(checkpoint, "int4"),
          CheckpointError,
          "int4 takes over Q4_0, Q4_1 and Q4_K weights unchanged, and this checkpoint has none",
        );
      }
    }
  });
});
