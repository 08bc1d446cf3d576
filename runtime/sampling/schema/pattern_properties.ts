import { ConstraintError } from "../../errors.ts";
import { createAutomaton } from "../grammar/automaton.ts";
import { choice, type Expression } from "../grammar/grammar.ts";
import type { JsonGrammar } from "../grammar/json_grammar.ts";
import { equalJson } from "./equal_json.ts";
import { isObject, isSchema, type JsonSchema, type SchemaObject } from "./keywords.ts";
import type { PartGrammar } from "./part_grammar.ts";
import { stringGrammar } from "./strings.ts";

/** A pattern of names, and what stands behind names that match it. */
export interface NamePattern {
  readonly pattern: string;
  readonly schema: JsonSchema;
}

/** Steps of two automata that are looked at for a name that both allow. */
const MOST_PAIRS = 2_000;

/** The patterns of names that a schema has. */
export function namePatterns({ patternProperties }: SchemaObject): readonly NamePattern[] {
  if (!isObject(patternProperties)) return [];
  return Object.entries(patternProperties).flatMap(([pattern, schema]) =>
    isSchema(schema) ? [{ pattern, schema }] : []
  );
}

/** What stands behind a name of no schema of its own, if a pattern says. */
export function matching(patterns: readonly NamePattern[], name: string): JsonSchema | undefined {
  return patterns.find(({ pattern }) => new RegExp(pattern, "u").test(name))?.schema;
}

/**
 * Members whose names match a pattern.
 *
 * @throws {ConstraintError} If names may match several, or one of the properties: they would have to
 * satisfy both.
 */
export function patternMembers(
  patterns: readonly NamePattern[],
  properties: readonly string[],
  json: JsonGrammar,
  part: PartGrammar,
  path: string,
): Expression | undefined {
  const names = patterns.map(({ pattern }) =>
    stringGrammar({ pattern }, json, `${path}/patternProperties`)
  );
  for (const { pattern } of patterns) {
    const own = properties.find((name) => new RegExp(pattern, "u").test(name));
    if (own !== undefined) refuse(path, `the property ${JSON.stringify(own)} matches one of them`);
  }
  for (const [index, one] of patterns.entries()) {
    const other = patterns.findIndex(({ schema }, at) =>
      at > index && !equalJson(schema, one.schema) && mayShare(names[index], names[at])
    );
    if (other >= 0) {
      refuse(
        path,
        `a name could match both ${JSON.stringify(one.pattern)} and ` +
          JSON.stringify(patterns[other]?.pattern),
      );
    }
  }
  return choice(
    ...patterns.map(({ pattern, schema }, index) =>
      json.member(names[index], part(schema, `${path}/patternProperties/${pattern}`))
    ),
  );
}

function refuse(path: string, why: string): never {
  throw new ConstraintError(
    `Cannot constrain an answer by the schema: ${path} has patternProperties, and ${why}, which is ` +
      "not supported; make the patterns exclude each other",
  );
}

/** Whether some text may satisfy two grammars; also where that would take long to tell. */
function mayShare(a: Expression | undefined, b: Expression | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  const [one, other] = [createAutomaton(a), createAutomaton(b)];
  const seen = new Map([[one.start, new Set([other.start])]]);
  const open = [[one.start, other.start] as const];
  for (let looked = 0; looked < open.length; looked++) {
    if (looked > MOST_PAIRS) return true;
    const [left, right] = open[looked] ?? [one.start, other.start];
    if (left.accepting && right.accepting) return true;
    for (let byte = 0; byte < 256; byte++) {
      const next = one.step(left, byte);
      const beside = next && other.step(right, byte);
      if (!next || !beside) continue;
      const known = seen.get(next) ?? new Set();
      seen.set(next, known);
      if (known.has(beside)) continue;
      known.add(beside);
      open.push([next, beside]);
    }
  }
  return false;
}
