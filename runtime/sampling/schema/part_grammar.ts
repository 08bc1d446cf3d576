import type { Expression } from "../grammar/grammar.ts";
import type { JsonSchema } from "./keywords.ts";

/** Makes the grammar of a part of a schema; the path is for messages. */
export type PartGrammar = (schema: JsonSchema, path: string) => Expression | undefined;
