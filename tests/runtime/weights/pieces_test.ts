import { assert, assertEquals } from "@std/assert";
import type { TensorLocation } from "../../../runtime/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { readRows } from "../../../runtime/checkpoint/read_rows.ts";
import type { Blocks } from "../../../runtime/weights/blocks.ts";
import { blockPieces, floatPieces } from "../../../runtime/weights/pieces.ts";
import { writeGguf } from "../../_random_checkpoint.ts";
import { withFolder } from "../../_temp_folder.ts";

/** Queries and keys of a random checkpoint: heads of theirs lie interleaved, those of values do not. */
async function withTensors(
  type: "Q4_0" | "Q8_0",
  check: (tensors: readonly TensorLocation[]) => void,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/m.gguf`;
    await writeGguf(path, { hidden: 128, heads: 4, kvHeads: 2, intermediate: 64 }, { type });
    const { tensors } = await openCheckpoint(path);
    check(["q", "k", "v"].map((name) => {
      const tensor = tensors.get(`model.layers.1.self_attn.${name}_proj.weight`);
      assert(tensor);
      return tensor;
    }));
  });
}

function joined(pieces: readonly Blocks[], part: "values" | "scales"): number[] {
  return pieces.flatMap((piece) => [...piece[part]]);
}

for (
  const [type, precision] of [["Q4_0", "int4"], ["Q4_0", "int8"], ["Q8_0", "int8"]] as const
) {
  Deno.test(`blockPieces() of ${type} in ${precision} are the same however small they are`, async () => {
    await withTensors(type, (tensors) => {
      const pieces = (most?: number) => [...blockPieces(tensors, precision, "none", most)];
      const [whole, small] = [pieces(), pieces(128 * 40)];
      assertEquals(whole.map(({ rows }) => rows), [128, 64, 64]);
      // Interleaved heads, of 32 rows each, stay whole.
      assertEquals(small.map(({ rows }) => rows), [32, 32, 32, 32, 32, 32, 40, 24]);
      for (const part of ["values", "scales"] as const) {
        assertEquals(joined(small, part), joined(whole, part));
      }
    });
  });
}

Deno.test("floatPieces() are the numbers of all rows", async () => {
  await withTensors("Q8_0", (tensors) => {
    const pieces = [...floatPieces(tensors, 1)];
    // A head is the least where heads are interleaved, a row elsewhere.
    assertEquals(pieces.length, 4 + 2 + 64);
    assertEquals(
      pieces.flatMap((piece) => [...piece]),
      tensors.flatMap((tensor) => [...readRows(tensor)]),
    );
  });
});
