import { assertEquals } from "@std/assert";
import { prefill } from "../../../runtime/engine/prefill.ts";
import { loadModel } from "../../../runtime/model.ts";
import { fixture } from "../../_test_model.ts";

Deno.test("a prompt ends in no step of a single token, which would be computed as an answer's is", async () => {
  await using model = await loadModel(fixture("tiny-qwen3"), { precision: "int8", threads: 1 });
  /** Sizes of the steps that read so many tokens, and the logits of the last. */
  const read = async (tokens: number, chunk: number) => {
    const sizes: number[] = [];
    const engine: typeof model.engine = {
      ...model.engine,
      advance(sequence, input) {
        sizes.push(input.ids?.length ?? 0);
        return model.engine.advance(sequence, input);
      },
    };
    using cache = engine.newCache();
    const sequence = { cache, position: 0, planned: 0 };
    const ids = Array.from({ length: tokens }, (_, at) => 5 + at * at % 70);
    const { logits } = await prefill(engine, sequence, ids, { chunk, observe: "none" });
    return { sizes, logits };
  };
  assertEquals((await read(257, 256)).sizes, [255, 2]);
  assertEquals((await read(300, 256)).sizes, [256, 44]);
  assertEquals((await read(9, 4)).sizes, [4, 3, 2]);
  assertEquals((await read(3, 1)).sizes, [1, 1, 1]);
  assertEquals((await read(1, 256)).sizes, [1]);
  const { logits } = await read(257, 512);
  const most = (await read(257, 256)).logits.reduce(
    (most, logit, id) => Math.max(most, Math.abs(logit - (logits[id] ?? 0))),
    0,
  );
  assertEquals(most < 1e-4, true, `logits differ by ${most}`);
});
