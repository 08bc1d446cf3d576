import * as v from "npm:valibot@1.5.0";
import { ANY_OBJECT, integerFrom, optional } from "./fields.ts";

const RATIO = "a ratio above 0 and at most 1";

/** Tokens, a ratio, or a text such as `10%` or `8MiB`. */
export const BUDGET = v.pipe(
  v.union([
    v.number(),
    v.pipe(v.string(), v.maxLength(40)),
    v.object({ tokens: integerFrom(1) }),
    v.object({
      ratio: v.pipe(v.number(RATIO), v.gtValue(0, RATIO), v.maxValue(1, RATIO)),
    }),
    v.object({ bytes: integerFrom(1, Number.MAX_SAFE_INTEGER) }),
  ], 'tokens such as 256, a ratio kept such as 0.1, or bytes such as "8MiB"'),
  v.description('What is kept: tokens (256), a ratio (0.1, "10%") or bytes ("8MiB").'),
);

/** Eviction of one request. */
export const EVICTION = v.pipe(
  v.union([
    v.literal(false),
    v.looseObject({
      policy: optional(v.pipe(
        v.string("a text"),
        v.minLength(1, "a text that is not empty"),
        v.maxLength(2000, "a text of at most 2000 characters"),
        v.description("A name or an expression, as in snapkv(window=16). Default: the server's."),
      )),
      budget: optional(BUDGET),
      protect: optional(v.pipe(
        v.union([
          v.boolean(),
          v.pipe(
            v.array(v.pipe(
              v.tuple([integerFrom(0), integerFrom(1)]),
              v.check(([start, end]) => start < end, "a pair [start, end] with start < end"),
            )),
            v.maxLength(1000, "at most 1000 pairs"),
          ),
        ], "true, false, or pairs [start, end]"),
        v.description("Prompt tokens that are never evicted: all, or pairs [start, end)."),
      )),
      while_reading: optional(v.pipe(
        v.union([v.boolean(), ANY_OBJECT], "true, false, or options of while_reading"),
        v.description(
          "Whether the prompt is read in pieces, and evicted behind each; options of while_reading.",
        ),
      )),
      while_decoding: optional(v.pipe(
        v.union([v.boolean(), ANY_OBJECT], "true, false, or options of while_decoding"),
        v.description("Whether the answer is evicted too as it grows; options of while_decoding."),
      )),
    }),
  ], "false or an object such as {policy, budget}"),
  v.description("How the prompt's KV cache is evicted; false keeps everything."),
);

/** Fields of kvjudge's own that requests may have. */
export const KVJUDGE_FIELDS = {
  eviction: optional(EVICTION),
  document: optional(v.pipe(
    v.string("a text"),
    v.maxLength(100, "the id of a document"),
    v.description("The id of a document of /v1/documents, which stands in front of the prompt."),
  )),
  explain: optional(v.pipe(
    v.boolean(),
    v.description("Also say which prompt tokens were kept."),
  )),
  timeout: optional(v.pipe(
    v.number("seconds above 0"),
    v.gtValue(0, "seconds above 0"),
    v.maxValue(86_400, "at most 86400 seconds"),
    v.description("Seconds until the last token."),
  )),
  return_progress: optional(v.pipe(
    v.boolean(),
    v.description("Also send prompt_progress while the prompt is read, in streams."),
  )),
};
