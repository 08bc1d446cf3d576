import * as v from "npm:valibot@1.5.0";
import { KVJUDGE_FIELDS } from "./eviction.ts";
import { NAME, optional } from "./fields.ts";

/** Body of `POST /v1/documents`. */
export const DOCUMENT_REQUEST = v.looseObject({
  model: optional(NAME),
  text: v.pipe(v.string(), v.minLength(1, "a text that is not empty")),
  name: optional(NAME),
  system: optional(v.pipe(
    v.string(),
    v.description("A system message in front of the document."),
  )),
  form: optional(v.pipe(
    v.picklist(["chat", "text"]),
    v.description("What is asked about it: chats (default), or /v1/completions with a text."),
  )),
  eviction: KVJUDGE_FIELDS.eviction,
  timeout: KVJUDGE_FIELDS.timeout,
  stream: optional(v.pipe(
    v.boolean(),
    v.description("Send {progress: {done, total}} while it is read, then the document."),
  )),
});
