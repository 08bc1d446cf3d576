import * as v from "npm:valibot@1.5.0";
import { TOOL } from "./chat.ts";
import { KVJUDGE_FIELDS } from "./eviction.ts";
import { ANY_OBJECT, between, integerFrom, NAME, optional } from "./fields.ts";
import { SAMPLING_FIELDS, STOP } from "./sampling.ts";

const OPTIONS = v.looseObject({
  temperature: SAMPLING_FIELDS.temperature,
  top_p: SAMPLING_FIELDS.top_p,
  top_k: SAMPLING_FIELDS.top_k,
  min_p: SAMPLING_FIELDS.min_p,
  seed: SAMPLING_FIELDS.seed,
  repeat_penalty: optional(between(0.01, 100)),
  presence_penalty: SAMPLING_FIELDS.presence_penalty,
  frequency_penalty: SAMPLING_FIELDS.frequency_penalty,
  stop: optional(STOP),
  num_predict: optional(v.pipe(integerFrom(-2), v.description("-1 and -2: as many as fit."))),
});

/** `"json"`, a schema, or nothing. */
const FORMAT = v.union([v.picklist(["json", ""]), ANY_OBJECT], '"json" or a JSON schema');

const FIELDS = {
  model: NAME,
  options: optional(OPTIONS),
  format: optional(FORMAT),
  stream: optional(v.boolean()),
  images: optional(v.pipe(v.array(v.unknown()), v.maxLength(0, "absent: no images are read here"))),
  ...KVJUDGE_FIELDS,
};

const MESSAGE = v.looseObject({
  role: v.picklist(["system", "user", "assistant", "tool"]),
  content: optional(v.string()),
  images: FIELDS.images,
  tool_calls: optional(v.array(v.looseObject({
    function: v.looseObject({ name: v.string(), arguments: optional(ANY_OBJECT) }),
  }))),
});

/** Body of `POST /api/chat`. */
export const OLLAMA_CHAT = v.looseObject({
  ...FIELDS,
  messages: v.array(MESSAGE),
  tools: optional(v.pipe(v.array(TOOL), v.maxLength(128, "at most 128 tools"))),
});

/** Body of `POST /api/generate`. */
export const OLLAMA_GENERATE = v.looseObject({
  ...FIELDS,
  prompt: optional(v.string()),
  system: optional(v.string()),
  suffix: optional(v.pipe(v.string(), v.maxLength(0, "absent: nothing is filled in here"))),
  raw: optional(v.boolean()),
});

/** Body of `POST /api/show`. */
export const OLLAMA_SHOW = v.looseObject({ model: optional(NAME), name: optional(NAME) });

const COMMON = v.object(FIELDS);

/** Fields that both have, checked. */
export type OllamaFields = v.InferOutput<typeof COMMON>;
/** A checked body of `POST /api/chat`. */
export type OllamaChat = v.InferOutput<typeof OLLAMA_CHAT>;
/** A checked body of `POST /api/generate`. */
export type OllamaGenerate = v.InferOutput<typeof OLLAMA_GENERATE>;
