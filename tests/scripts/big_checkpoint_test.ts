import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { full } from "../../policies/mod.ts";
import { loadModel } from "../../mod.ts";
import { cutTokenizer } from "../../scripts/big_checkpoint/tokenizer.ts";
import { encodeGguf } from "../_gguf_writer.ts";
import { parametersOf, SHAPES } from "../../scripts/big_checkpoint/shapes.ts";
import { writeBigCheckpoint } from "../../scripts/big_checkpoint/write.ts";

const SHAPE = {
  ...{ layers: 2, hidden: 64, heads: 4, kvHeads: 2, intermediate: 96 },
  ...{ vocabulary: 120, context: 500 },
};

for (const format of ["q4_0", "f16"] as const) {
  Deno.test(`a big checkpoint in ${format} loads and answers with finite logits`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const path = await writeBigCheckpoint(folder, "custom", SHAPE, format);
      // What is there already is not written again.
      assertEquals(await writeBigCheckpoint(folder, "custom", SHAPE, format), path);
      await using model = await loadModel(path, { home: folder, threads: 1 });
      const { layers, hidden, heads, kvHeads, vocabulary, context } = model.config;
      assertEquals({ layers, hidden, heads, kvHeads, vocabulary, context }, {
        ...{ layers: 2, hidden: 64, heads: 4, kvHeads: 2 },
        ...{ vocabulary: 120, context: 500 },
      });
      await using session = model.session({ policy: full() });
      const { logits } = await session.read({ ids: [5, 6, 7] });
      assert(logits.every(Number.isFinite));
      const largest = Math.max(...logits.map(Math.abs));
      assert(largest > 0.1 && largest < 100, String(largest));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("a big checkpoint takes the tokenizer of another file, cut and filled up", async () => {
  const tokens = ["<|endoftext|>", ...Array.from("abcdefgh "), "ab", "cd", "abcd", "ef"]
    .map((token) => token.replace(" ", "Ġ"));
  const folder = await Deno.makeTempDir();
  try {
    const source = join(folder, "source.gguf");
    await Deno.writeFile(
      source,
      encodeGguf({
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": tokens.map((_, index) => index === 0 ? 3 : 1),
        "tokenizer.ggml.merges": ["a b", "c d", "ab cd", "e f"],
      }, []),
    );
    const cut = cutTokenizer(source, 12);
    assertEquals(cut.tokens, tokens.slice(0, 12));
    assertEquals([cut.merges, cut.types.length], [["a b", "c d"], 12]);
    const tokenizer = cutTokenizer(source, SHAPE.vocabulary);
    assertEquals(tokenizer.merges.length, 4);
    assertEquals([tokenizer.tokens.at(-1), tokenizer.types.at(-1)], ["<|unused_105|>", 5]);
    const path = await writeBigCheckpoint(folder, "custom", SHAPE, "q4_0", tokenizer);
    await using model = await loadModel(path, { home: folder, threads: 1 });
    const ids = model.tokenizer.encode("abcd ef");
    assertEquals(model.tokenizer.decode([...ids]), "abcd ef");
    assertEquals([...ids].map((id) => tokens[id]), ["abcd", "Ġ", "ef"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the shapes have about as many parameters as their names say", () => {
  const billions = (name: string) => {
    const shape = SHAPES[name];
    return shape ? parametersOf(shape) / 1e9 : NaN;
  };
  assert(Math.abs(billions("1.3b") - 1.3) < 0.15, String(billions("1.3b")));
  assert(Math.abs(billions("8b") - 8) < 0.2, String(billions("8b")));
});
