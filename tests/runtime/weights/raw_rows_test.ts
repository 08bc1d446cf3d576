import { assert, assertEquals } from "@std/assert";
import { dequantise } from "../../../runtime/checkpoint/dequantise.ts";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { readRows } from "../../../runtime/checkpoint/read_rows.ts";
import { readRawRows } from "../../../runtime/weights/raw_rows.ts";
import { writeGguf } from "../../_random_checkpoint.ts";
import { withFolder } from "../../_temp_folder.ts";

Deno.test("readRawRows() gives stored bytes with the rows in Hugging Face order", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/m.gguf`;
    const spec = { hidden: 64, heads: 3, kvHeads: 3, headDim: 12 };
    await writeGguf(path, spec, { type: "Q8_0", edit: keepBlocksWhole });
    const { tensors } = await openCheckpoint(path);
    for (const name of ["q_proj", "v_proj"]) {
      const tensor = tensors.get(`model.layers.1.self_attn.${name}.weight`);
      assert(tensor);
      assertEquals(tensor.interleavedHeads, name === "q_proj" ? 3 : undefined);
      const raw = readRawRows(tensor);
      assertEquals(raw.length, tensor.bytes);
      const numbers = new Float32Array(36 * 64);
      dequantise("Q8_0", raw, numbers);
      assertEquals(numbers, readRows(tensor));
    }
  });
});

/** Rows of 36 numbers do not divide into blocks: these are stored as floats. */
function keepBlocksWhole(tensors: { shape: readonly number[]; type: string }[]): void {
  for (const tensor of tensors) {
    if ((tensor.shape.at(-1) ?? 0) % 32 !== 0) tensor.type = "F32";
  }
}
