/**
 * Makes a large checkpoint of random weights within seconds, to measure speed where no real one can be
 * fetched: `big_checkpoint.ts --shape 1.3b --format q4_0 --out FOLDER`. GGUF files get the tokenizer of
 * another one, cut or filled up to the shape's vocabulary: `--tokenizer FILE.gguf`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { cutTokenizer } from "./big_checkpoint/tokenizer.ts";
import { isBigFormat, writeBigCheckpoint } from "./big_checkpoint/write.ts";
import { parametersOf, SHAPES } from "./big_checkpoint/shapes.ts";

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      shape: { type: "string", default: "1.3b" },
      format: { type: "string", default: "q4_0" },
      out: { type: "string", default: "." },
      tokenizer: { type: "string" },
    },
  });
  const shape = SHAPES[values.shape];
  if (!shape || !isBigFormat(values.format)) {
    const shapes = Object.keys(SHAPES).join(", ");
    console.error(`error: give --shape (one of ${shapes}) and --format (q4_0 or f16)`);
    Deno.exit(2);
  }
  const start = performance.now();
  const tokenizer = values.tokenizer === undefined
    ? undefined
    : cutTokenizer(values.tokenizer, shape.vocabulary);
  const path = await writeBigCheckpoint(values.out, values.shape, shape, values.format, tokenizer);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${path}: ${parametersOf(shape)} parameters in ${seconds} s`);
}
