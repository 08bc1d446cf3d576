import { ConstraintError } from "../../errors.ts";
import { isSchema, type JsonSchema } from "../schema/keywords.ts";
import { schemaGrammar } from "../schema/schema_grammar.ts";
import { choice, type Expression, literal, oneOf } from "./grammar.ts";
import { createJsonGrammar } from "./json_grammar.ts";
import { regexGrammar } from "./regex_grammar.ts";
import { toolGrammar, type ToolSpec } from "./tool_grammar.ts";
import { demandObject, kindOfGiven } from "../../given.ts";

export type { ToolSpec } from "./tool_grammar.ts";

/** What an answer must be. */
export type ConstraintSpec =
  /** Any JSON object. */
  | { readonly kind: "json_object" }
  /** JSON that a schema allows. */
  | { readonly kind: "json_schema"; readonly schema: JsonSchema }
  /** Text that a regular expression of JavaScript (`u`) matches as a whole. */
  | { readonly kind: "regex"; readonly pattern: string }
  /** One of some texts. */
  | { readonly kind: "choice"; readonly choices: readonly string[] }
  /** Calls of tools, as Hermes and Qwen write them. */
  | {
    readonly kind: "tools";
    readonly tools: readonly ToolSpec[];
    /** Whether the answer is a call, rather than text in which calls may stand. */
    readonly required: boolean;
    /** Whether there may be several calls. @default {true} */
    readonly parallel?: boolean;
  };

/**
 * The grammar of a constraint.
 *
 * @throws {ConstraintError} If nothing fits it, or it asks for what cannot be enforced.
 */
export function constraintGrammar(spec: ConstraintSpec): Expression {
  demandObject("constrain an answer", "what it is to be", spec);
  const json = createJsonGrammar();
  switch (spec.kind) {
    case "json_object":
      return json.object;
    case "json_schema":
      if (!isSchema(spec.schema)) {
        throw new ConstraintError(
          "Cannot constrain an answer by the schema: it must be an object, true or false",
        );
      }
      return schemaGrammar(spec.schema, json);
    case "regex": {
      const { expression } = regexGrammar(spec.pattern, {
        write: oneOf,
        whole: true,
        where: "regex",
      });
      return expression ?? refuse(`nothing matches the pattern ${JSON.stringify(spec.pattern)}`);
    }
    case "choice":
      return choice(...spec.choices.map(literal)) ??
        refuse("there is no choice; give at least one text");
    case "tools":
      return toolGrammar(spec, json);
    default:
      return unknownKind(spec);
  }
}

function unknownKind({ kind }: { readonly kind?: unknown }): never {
  return refuse(
    "its 'kind' must be json_object, json_schema, regex, choice or tools, got " + (
      typeof kind === "string" ? JSON.stringify(kind.slice(0, 40)) : kindOfGiven(kind)
    ),
  );
}

function refuse(why: string): never {
  throw new ConstraintError(`Cannot constrain an answer: ${why}`);
}
