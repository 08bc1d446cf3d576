import { ConstraintError } from "../../errors.ts";
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
import { isObject, isSchema, type JsonSchema, type SchemaObject } from "./keywords.ts";
import type { PartGrammar } from "./part_grammar.ts";
import { matching, namePatterns, patternMembers } from "./pattern_properties.ts";
import { otherNames } from "./strings.ts";

/** Properties of an object at most: each may be left out, so that all that follow are ways to go on. */
const MOST_MEMBERS = 500;

/** Objects that a schema allows: its properties in the order of the schema, then others. */
export function objectGrammar(
  schema: SchemaObject,
  json: JsonGrammar,
  part: PartGrammar,
  path: string,
): Expression | undefined {
  const { properties, required, additionalProperties } = schema;
  const names = Array.isArray(required) ? required.filter((name) => typeof name === "string") : [];
  const declared = isObject(properties) ? properties : {};
  const rest: JsonSchema = isSchema(additionalProperties) ? additionalProperties : true;
  const patterns = namePatterns(schema);
  if (patterns.length > 0 && rest !== false) {
    throw new ConstraintError(
      `Cannot constrain an answer by the schema: ${path} has patternProperties, which are only ` +
        "supported where additionalProperties is false; set it, or leave them out",
    );
  }
  // A name that must be there without a schema of its own has that of the others.
  const all = new Map<string, JsonSchema>([
    ...Object.entries(declared).map(([name, own]) => [name, isSchema(own) ? own : true] as const),
    ...names.filter((name) => !Object.hasOwn(declared, name)).map((name) =>
      [name, matching(patterns, name) ?? rest] as const
    ),
  ]);
  if (all.size > MOST_MEMBERS) {
    throw new ConstraintError(
      `Cannot constrain an answer by the schema: ${path} has ${all.size} properties, the most are ` +
        `${MOST_MEMBERS}; leave some out`,
    );
  }
  const open = rest !== false || patterns.length > 0;
  checkCounts(schema, new Set(names), all.size, open, path);
  const { comma } = json;
  if (all.size === 0 && rest === true) return json.object;
  const other = patterns.length > 0
    ? patternMembers(patterns, Object.keys(declared), json, part, path)
    : json.member(
      all.size === 0 ? json.string : otherNames([...all.keys()], json),
      part(rest, `${path}/additionalProperties`),
    );

  /** What may follow, from a property on; whether something stands before it. */
  const members = [...all].map(([name, own]) => ({
    needed: names.includes(name),
    text: json.member(literal(JSON.stringify(name)), part(own, `${path}/properties/${name}`)),
  }));
  let later = repeated(sequence(comma, other), 0, Infinity);
  let first = choice(EMPTY, sequence(other, later));
  for (const { needed, text } of members.toReversed()) {
    first = choice(sequence(text, later), needed ? NEVER : first);
    later = choice(sequence(comma, text, later), needed ? NEVER : later);
  }
  return json.enclosed("{", first, "}");
}

/** Numbers of properties are only supported where the rest of the schema implies them. */
function checkCounts(
  { minProperties, maxProperties }: SchemaObject,
  required: ReadonlySet<string>,
  declared: number,
  open: boolean,
  path: string,
): void {
  const refuse = (keyword: string, way: string): never => {
    throw new ConstraintError(
      `Cannot constrain an answer by the schema: ${path} has ${keyword}, which is only supported ` +
        `where ${way}; leave it out, and check the answer for it`,
    );
  };
  if (typeof minProperties === "number" && minProperties > required.size) {
    refuse("minProperties", "as many are required");
  }
  if (typeof maxProperties === "number" && (open || maxProperties < declared)) {
    refuse("maxProperties", "no more can stand there");
  }
}
