import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import type { Token } from "./token.ts";

const encoder = new TextEncoder();

/** A token with its text and bytes. */
export function tokenOf(tokenizer: Tokenizer, id: number): Token {
  const token = tokenizer.decode([id]);
  return { id, token, bytes: [...encoder.encode(token)] };
}
