import * as v from "npm:valibot@1.5.0";
import { KVJUDGE_FIELDS } from "./eviction.ts";
import { ANY_OBJECT, integerFrom, NAME, optional } from "./fields.ts";
import { SAMPLING_FIELDS } from "./sampling.ts";

const TEXT_PART = v.looseObject({ type: v.string("a text"), text: optional(v.string()) });

/** What a message says: a text, or a list of parts. */
const CONTENT = v.union([v.string(), v.array(TEXT_PART)], "a text or a list of text parts");

/** A call that an assistant's message made. */
const TOOL_CALL = v.looseObject({
  id: v.string(),
  type: optional(v.string()),
  function: v.looseObject({ name: v.string(), arguments: v.string("a text that is JSON") }),
});

/** A message of a conversation. */
export const MESSAGE = v.looseObject({
  role: v.picklist(
    ["developer", "system", "user", "assistant", "tool", "function"],
    "developer, system, user, assistant or tool",
  ),
  content: optional(CONTENT),
  name: optional(v.string()),
  tool_calls: optional(v.array(TOOL_CALL)),
  tool_call_id: optional(v.string()),
  refusal: optional(v.string()),
});

const FUNCTION_NAME = v.pipe(
  v.string("a text"),
  v.regex(/^[\w.-]{1,128}$/, "a name of letters, digits, _, - and ."),
);

/** A tool that the model may call. */
export const TOOL = v.looseObject({
  type: v.literal("function", '"function"'),
  function: v.looseObject({
    name: FUNCTION_NAME,
    description: optional(v.string()),
    parameters: optional(ANY_OBJECT),
    strict: optional(v.boolean()),
  }),
});

/** Whether and which tools are called. */
const TOOL_CHOICE = v.union([
  v.picklist(["none", "auto", "required"]),
  v.looseObject({
    type: v.literal("function"),
    function: v.looseObject({ name: v.string() }),
  }),
], '"none", "auto", "required" or {type: "function", function: {name}}');

/** What every answer must be. */
const RESPONSE_FORMAT = v.variant("type", [
  v.looseObject({ type: v.literal("text") }),
  v.looseObject({ type: v.literal("json_object") }),
  v.looseObject({
    type: v.literal("json_schema"),
    json_schema: v.looseObject({
      name: optional(v.string()),
      description: optional(v.string()),
      schema: optional(v.union([ANY_OBJECT, v.boolean()], "a JSON schema")),
      strict: optional(v.boolean()),
    }),
  }),
], '{type: "text"}, {type: "json_object"} or {type: "json_schema", json_schema}');

/** Body of `POST /v1/chat/completions`. */
export const CHAT_REQUEST = v.looseObject({
  model: optional(NAME),
  messages: v.pipe(
    v.array(MESSAGE, "an array of messages"),
    v.minLength(1, "an array that is not empty"),
  ),
  ...SAMPLING_FIELDS,
  ...KVJUDGE_FIELDS,
  max_tokens: optional(integerFrom(1)),
  max_completion_tokens: optional(integerFrom(1)),
  stream: optional(v.boolean()),
  stream_options: optional(v.looseObject({ include_usage: optional(v.boolean()) })),
  response_format: optional(RESPONSE_FORMAT),
  tools: optional(v.pipe(v.array(TOOL), v.maxLength(128, "at most 128 tools"))),
  tool_choice: optional(TOOL_CHOICE),
  parallel_tool_calls: optional(v.boolean()),
  logprobs: optional(v.boolean()),
  top_logprobs: optional(integerFrom(0, 20)),
  chat_template_kwargs: optional(v.pipe(
    ANY_OBJECT,
    v.description("Variables of the chat template, such as enable_thinking."),
  )),
});

/** A checked body of `POST /v1/chat/completions`. */
export type ChatRequest = v.InferOutput<typeof CHAT_REQUEST>;
/** A checked message. */
export type Message = v.InferOutput<typeof MESSAGE>;
