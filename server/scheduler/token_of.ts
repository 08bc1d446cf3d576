import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import type { Token } from "./token.ts";

/** A token with its text and bytes; a control token has its name, and no bytes. */
export function tokenOf(tokenizer: Tokenizer, id: number): Token {
  return { id, token: tokenizer.decode([id]), bytes: [...tokenizer.tokenBytes(id)] };
}
