import * as v from "npm:valibot@1.5.0";
import { KVJUDGE_FIELDS } from "./eviction.ts";
import { IDS, integerFrom, NAME, optional } from "./fields.ts";
import { SAMPLING_FIELDS } from "./sampling.ts";

/** A text, texts, token ids, or lists of them. */
export const PROMPT = v.union([
  v.string(),
  v.array(v.string()),
  IDS,
  v.array(IDS),
], "a text, a list of texts, token ids, or lists of token ids");

/** Body of `POST /v1/completions`. */
export const COMPLETION_REQUEST = v.looseObject({
  model: optional(NAME),
  prompt: PROMPT,
  ...SAMPLING_FIELDS,
  ...KVJUDGE_FIELDS,
  best_of: optional(integerFrom(1, 128)),
  echo: optional(v.boolean()),
  suffix: optional(v.string()),
  logprobs: optional(integerFrom(0, 20)),
  max_tokens: optional(integerFrom(0)),
  stream: optional(v.boolean()),
  stream_options: optional(v.looseObject({ include_usage: optional(v.boolean()) })),
  parse_special: optional(v.pipe(
    v.boolean(),
    v.description("Control tokens written in the prompt become tokens. Default: they are text."),
  )),
});

/** A checked body of `POST /v1/completions`. */
export type CompletionRequest = v.InferOutput<typeof COMPLETION_REQUEST>;
