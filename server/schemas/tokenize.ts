import * as v from "npm:valibot@1.5.0";
import { IDS, NAME, optional } from "./fields.ts";

/** Body of `POST /tokenize`, as llama.cpp has it. */
export const TOKENIZE_REQUEST = v.looseObject({
  model: optional(NAME),
  content: v.string(),
  add_special: optional(v.pipe(v.boolean(), v.description("Whether a BOS token opens it."))),
  parse_special: optional(v.pipe(
    v.boolean(),
    v.description("Whether control tokens written in the text become tokens. Default: true."),
  )),
  with_pieces: optional(v.boolean()),
});

/** Body of `POST /detokenize`. */
export const DETOKENIZE_REQUEST = v.looseObject({ model: optional(NAME), tokens: IDS });
