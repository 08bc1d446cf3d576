import { assertEquals } from "@std/assert";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { type GgufOptions, type RandomModel, writeGguf } from "../../_random_checkpoint.ts";
import { withFolder } from "../../_temp_folder.ts";

Deno.test("openCheckpoint() reads the windows of a GGUF file, in every form that states them", async () => {
  await withFolder(async (folder) => {
    const kinds = async (model: RandomModel, metadata: GgufOptions["metadata"]) => {
      await writeGguf(`${folder}/x.gguf`, { layers: 4, ...model }, metadata ? { metadata } : {});
      return (await openCheckpoint(`${folder}/x.gguf`)).config.layerKinds
        .map(({ window, rope }) => [window, rope]);
    };
    const gemma = { family: "gemma3", window: 8 };
    const pattern = "gemma3.attention.sliding_window_pattern";
    const [local, global] = [[8, 1], [undefined, 0]];
    assertEquals(await kinds(gemma, { [pattern]: 3 }), [local, local, global, local]);
    assertEquals(
      await kinds(gemma, { [pattern]: [false, true, true, false] }),
      [global, local, local, global],
    );
    const phi = { family: "phi3" };
    assertEquals(
      await kinds(phi, { "phi3.attention.sliding_window": 0 }),
      new Array(4).fill([undefined, 0]),
    );
    assertEquals(
      await kinds(phi, { "phi3.attention.sliding_window": 9 }),
      new Array(4).fill([9, 0]),
    );
    assertEquals(
      await kinds({ family: "smollm3" }, {}),
      [...new Array(3).fill([undefined, 0]), [undefined, undefined]],
    );
  });
});

Deno.test("openCheckpoint() scales the queries of Gemma's largest model by its width, as ggml does", async () => {
  await withFolder(async (folder) => {
    await writeGguf(`${folder}/x.gguf`, { family: "gemma3", layers: 62, headDim: 16 });
    const { attentionScale } = (await openCheckpoint(`${folder}/x.gguf`)).config;
    assertEquals(attentionScale, 1 / Math.sqrt(8));
  });
});
