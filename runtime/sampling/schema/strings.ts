import { ConstraintError } from "../../errors.ts";
import { EVERY } from "../grammar/code_points.ts";
import {
  choice,
  EMPTY,
  type Expression,
  literal,
  NEVER,
  repeated,
  sequence,
} from "../grammar/grammar.ts";
import type { JsonGrammar } from "../grammar/json_grammar.ts";
import { regexGrammar } from "../grammar/regex_grammar.ts";
import { FORMATS } from "./formats.ts";
import type { SchemaObject } from "./keywords.ts";

/** Repetitions at most in a grammar; each is a state of its own. */
const LONGEST = 10_000;
const QUOTE = literal('"');

/**
 * Strings that a schema allows.
 *
 * @throws {ConstraintError} If it asks for what cannot be enforced together.
 */
export function stringGrammar(
  { minLength = 0, maxLength = Infinity, pattern, format }: {
    readonly minLength?: number;
    readonly maxLength?: number;
    readonly pattern?: string;
    readonly format?: string;
  },
  json: JsonGrammar,
  path: string,
): Expression | undefined {
  const known = format === undefined ? undefined : FORMATS[format];
  if (pattern !== undefined && known) {
    throw new ConstraintError(
      `Cannot constrain an answer by ${path}: pattern and format cannot be enforced together; ` +
        "leave one out",
    );
  }
  const wanted = known?.pattern ?? pattern;
  if (wanted === undefined) {
    if (minLength > LONGEST || (maxLength > LONGEST && maxLength !== Infinity)) {
      throw new ConstraintError(
        `Cannot constrain an answer by ${path}: strings are counted up to ${LONGEST} characters; ` +
          "leave minLength and maxLength out or lower them",
      );
    }
    return quoted(repeated(json.character, minLength, maxLength));
  }
  const { expression, lengths: [shortest, longest] } = regexGrammar(wanted, {
    whole: known !== undefined,
    write: (points) => points === EVERY ? json.character : json.charactersOf(points),
    where: path,
  });
  if (longest < minLength || shortest > maxLength) return NEVER;
  if (shortest < minLength || longest > maxLength) {
    throw new ConstraintError(
      `Cannot constrain an answer by ${path}: minLength and maxLength cannot be enforced beside ` +
        `${known ? "this format" : "this pattern"}, which matches ${shortest} to ${longest} ` +
        "characters; say the length in the pattern",
    );
  }
  return quoted(expression);
}

function quoted(inside: Expression | undefined): Expression | undefined {
  return sequence(QUOTE, inside, QUOTE);
}

/** Strings, as names of members, that are none of some. */
export function otherNames(names: readonly string[], json: JsonGrammar): Expression | undefined {
  const written = names.map((name) => [...JSON.stringify(name).slice(1, -1)]);
  return sequence(QUOTE, others(written, json));
}

/** The rest of a string that is none of some, with its closing quote. */
function others(names: readonly (readonly string[])[], json: JsonGrammar): Expression | undefined {
  const first = new Map<string, (readonly string[])[]>();
  for (const [character, ...rest] of names) {
    // A name that goes on with an escape cannot be spelled here at all.
    if (character !== undefined && character !== "\\") {
      first.set(character, [...(first.get(character) ?? []), rest]);
    }
  }
  const end = names.some((name) => name.length === 0) ? NEVER : QUOTE;
  const free = sequence(repeated(json.character, 0, Infinity), QUOTE);
  const points = [...first.keys()].map((character) => character.codePointAt(0) ?? 0)
    .map((point) => [point, point] as const);
  // Where a name may still be spelled out, nothing is escaped: an escape could spell it otherwise.
  const away = json.plainCharactersBut(points);
  return choice(
    end,
    sequence(away, free),
    ...[...first].map(([character, rest]) =>
      sequence(literal(character), others(rest, json) ?? EMPTY)
    ),
  );
}

/** Keywords about strings, checked. */
export function stringKeywords(schema: SchemaObject): Parameters<typeof stringGrammar>[0] {
  const { minLength, maxLength, pattern, format } = schema;
  return {
    ...(typeof minLength === "number" ? { minLength: Math.ceil(minLength) } : {}),
    ...(typeof maxLength === "number" ? { maxLength: Math.floor(maxLength) } : {}),
    ...(typeof pattern === "string" ? { pattern } : {}),
    ...(typeof format === "string" ? { format } : {}),
  };
}
