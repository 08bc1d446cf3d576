import { assert } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { WeightCopiesChoice } from "../../runtime/weights/weight_copies.ts";
import { writeBigCheckpoint } from "../../scripts/big_checkpoint/write.ts";
import { withFolder } from "../_temp_folder.ts";
import type { PeakCommand, PeakMemory } from "./_peak_memory.ts";

/** 107 MB in Q4_0. */
const SHAPE = {
  ...{ layers: 12, hidden: 1024, heads: 16, kvHeads: 4, intermediate: 4096 },
  ...{ vocabulary: 4096, context: 4096 },
};

async function peakOf(command: PeakCommand): Promise<PeakMemory> {
  const script = fileURLToPath(new URL("./_peak_memory.ts", import.meta.url));
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", script, JSON.stringify(command)],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test({
  name:
    "a process that loads, reads and answers takes 1.35 × its file + its cache + 300 MB at most",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await withFolder(async (folder) => {
      const path = await writeBigCheckpoint(folder, "large", SHAPE, "q4_0");
      const file = Deno.statSync(path).size;
      const measure = (copies: WeightCopiesChoice) =>
        peakOf({ path, home: `${folder}/home`, copies, tokens: 300 });
      const first = await measure("one");
      const later = await measure("one");
      const twice = await measure("two");
      const about = JSON.stringify({ file, first, later, twice });
      for (const { peak, cache } of [first, later]) {
        assert(peak < 1.35 * file + cache + 300e6, about);
      }
      // What a second copy takes is missing.
      assert(twice.peak - later.peak > 0.6 * file, about);
    });
  },
});
