import * as v from "npm:valibot@1.5.0";
import { KVJUDGE_FIELDS } from "./eviction.ts";
import { ANY_OBJECT, integerFrom, NAME, optional } from "./fields.ts";
import { SAMPLING_FIELDS } from "./sampling.ts";

const PART = v.looseObject({ type: v.string("a text"), text: optional(v.string()) });

/** A message of the input. */
const INPUT_ITEM = v.looseObject({
  type: optional(v.literal("message", '"message": this server takes no other items')),
  role: v.picklist(
    ["developer", "system", "user", "assistant"],
    "developer, system, user or assistant",
  ),
  content: v.union([v.string(), v.array(PART)], "a text or a list of text parts"),
});

/** Body of `POST /v1/responses`, in its text form. */
export const RESPONSES_REQUEST = v.looseObject({
  model: optional(NAME),
  input: v.union([
    v.pipe(v.string(), v.minLength(1, "a text that is not empty")),
    v.pipe(v.array(INPUT_ITEM), v.minLength(1, "an array that is not empty")),
  ], "a text or a list of messages"),
  instructions: optional(v.string()),
  temperature: SAMPLING_FIELDS.temperature,
  top_p: SAMPLING_FIELDS.top_p,
  max_output_tokens: optional(integerFrom(1)),
  stream: optional(v.boolean()),
  text: optional(v.looseObject({
    format: optional(v.variant("type", [
      v.looseObject({ type: v.literal("text") }),
      v.looseObject({ type: v.literal("json_object") }),
      v.looseObject({
        type: v.literal("json_schema"),
        name: optional(v.string()),
        schema: v.union([ANY_OBJECT, v.boolean()], "a JSON schema"),
      }),
    ], '{type: "text"}, {type: "json_object"} or {type: "json_schema", name, schema}')),
  })),
  metadata: optional(ANY_OBJECT),
  previous_response_id: optional(v.string()),
  tools: optional(v.array(v.unknown())),
  ...KVJUDGE_FIELDS,
});

/** A checked body of `POST /v1/responses`. */
export type ResponsesRequest = v.InferOutput<typeof RESPONSES_REQUEST>;
