import * as v from "npm:valibot@1.5.0";
import { between, integerFrom, optional } from "./fields.ts";

/** Stop texts: at most 16, none of them empty. */
const STOP_TEXT = v.pipe(
  v.string("a text that is not empty"),
  v.minLength(1, "a text that is not empty"),
  v.maxLength(1000, "a text of at most 1000 characters"),
);

/** One stop text or several. */
export const STOP = v.union([
  STOP_TEXT,
  v.pipe(v.array(STOP_TEXT), v.maxLength(16, "at most 16 texts")),
]);

/** How tokens are drawn: the fields that chat and completions share. */
export const SAMPLING_FIELDS = {
  temperature: optional(v.pipe(
    between(0, 100),
    v.description("0 takes the most likely token. Default: 1."),
  )),
  top_p: optional(v.pipe(
    between(0, 1),
    v.description("Only the likeliest tokens whose probabilities add up to it."),
  )),
  top_k: optional(v.pipe(
    integerFrom(-1),
    v.description("Only so many of the likeliest tokens; 0 or -1 for all."),
  )),
  min_p: optional(v.pipe(
    between(0, 1),
    v.description("Only tokens at least so many times as likely as the likeliest."),
  )),
  frequency_penalty: optional(between(-2, 2)),
  presence_penalty: optional(between(-2, 2)),
  repetition_penalty: optional(v.pipe(
    between(0.01, 100),
    v.description("Above 1: what was there before becomes less likely."),
  )),
  seed: optional(v.pipe(
    v.number("an integer"),
    v.safeInteger("an integer"),
    v.description("The same seed draws the same tokens. Default: a random one."),
  )),
  logit_bias: optional(v.pipe(
    v.record(
      v.pipe(v.string(), v.regex(/^\d{1,9}$/, "a token id")),
      between(-100, 100),
    ),
    v.description("Added to the logits of token ids."),
  )),
  stop: optional(STOP),
  n: optional(integerFrom(1, 128)),
  user: optional(v.string()),
};
