import { createTokenizer } from "../../../runtime/tokenizer/create_tokenizer.ts";

const json: Readonly<Record<string, unknown>> = JSON.parse(
  Deno.readTextFileSync(
    new URL("../../fixtures/tokenizers/byte_level.json", import.meta.url),
  ),
);
const tokenizer = createTokenizer({ kind: "json", tokenizer: json, config: {} });

/** Counts as a real tokenizer, of 520 byte-level BPE tokens. */
export function countBpe(text: string): number {
  return tokenizer.encode(text).length;
}

/** Counts words. */
export function countWords(text: string): number {
  return text.split(/\s+/).filter(Boolean).length;
}

/** The story that ships with kvjudge. */
export const STORY = Deno.readTextFileSync(
  new URL("../../../examples/speckled_band.txt", import.meta.url),
);
