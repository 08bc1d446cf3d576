import { ConstraintError } from "../../errors.ts";
import { isSchema, type JsonSchema } from "../schema/keywords.ts";
import { schemaGrammar } from "../schema/schema_grammar.ts";
import { choice, EMPTY, type Expression, literal, repeated, sequence } from "./grammar.ts";
import type { JsonGrammar } from "./json_grammar.ts";
import { textWithMarks } from "./tool_text.ts";

/** A function that a model may call. */
export interface ToolSpec {
  /** As the model is told of it. */
  readonly name: string;
  /** A JSON schema of its arguments; any object if absent. */
  readonly parameters?: JsonSchema;
  /**
   * Whether parameters that cannot be enforced are refused; otherwise any object is allowed in their
   * place, as clients expect of tools that they do not call strict. @default {false}
   */
  readonly strict?: boolean;
}

const OPEN = "<tool_call>";
const CLOSE = "</tool_call>";

/**
 * Calls of tools, `<tool_call>\n{"name": …, "arguments": {…}}\n</tool_call>`: nothing else where they are
 * required, otherwise any text in which all that follows `<tool_call>` is a call.
 *
 * @throws {ConstraintError} If there is no tool, or the parameters of one cannot be enforced.
 */
export function toolGrammar(
  { tools, required, parallel = true }: {
    readonly tools: readonly ToolSpec[];
    readonly required: boolean;
    readonly parallel?: boolean;
  },
  json: JsonGrammar,
): Expression {
  const calls = tools.map(({ name, parameters = { type: "object" }, strict = false }) => {
    if (!isSchema(parameters)) {
      throw new ConstraintError(
        `Cannot constrain calls of ${name}: its parameters must be a JSON schema`,
      );
    }
    return sequence(
      literal(`{"name": ${JSON.stringify(name)}, "arguments": `),
      argumentsGrammar(parameters, strict, json),
      literal("}"),
    );
  });
  const one = sequence(literal("\n"), choice(...calls), literal(`\n${CLOSE}`));
  if (one === undefined) {
    throw new ConstraintError("Cannot constrain calls of tools: there are none; give at least one");
  }
  if (required) {
    const whole = sequence(literal(OPEN), one);
    return sequence(
      whole,
      parallel ? repeated(sequence(literal("\n"), whole), 0, Infinity) : EMPTY,
    ) ?? EMPTY;
  }
  return textWithMarks(OPEN, one, parallel);
}

function argumentsGrammar(parameters: JsonSchema, strict: boolean, json: JsonGrammar): Expression {
  try {
    return schemaGrammar(parameters, json);
  } catch (error) {
    if (strict || !(error instanceof ConstraintError)) throw error;
    return json.object;
  }
}
