import { ConstraintError } from "../../errors.ts";
import { choice, createRule, type Expression, literal, NEVER } from "../grammar/grammar.ts";
import type { JsonGrammar } from "../grammar/json_grammar.ts";
import { arrayGrammar } from "./arrays.ts";
import { areDisjoint } from "./disjoint.ts";
import { hasEnd } from "../grammar/has_end.ts";
import { isSchema, type JsonSchema, type JsonType, type SchemaObject } from "./keywords.ts";
import { mergeSchemas, typesOf } from "./merge.ts";
import { createSchemaReader } from "./normalize.ts";
import { objectGrammar } from "./objects.ts";
import type { PartGrammar } from "./part_grammar.ts";
import { decimalRange, integerRange, type NumberRange } from "./ranges.ts";
import { stringGrammar, stringKeywords } from "./strings.ts";
import { allowedValues } from "./values.ts";

/** Schemas in a document at most, and inside each other: it may be a stranger's. */
const MOST_SCHEMAS = 5_000;
const DEEPEST = 100;

/**
 * JSON that a schema allows, as a part of a grammar.
 *
 * @throws {ConstraintError} If nothing satisfies the schema, or a keyword of it cannot be enforced.
 */
export function schemaGrammar(schema: JsonSchema, json: JsonGrammar): Expression {
  const reader = createSchemaReader(schema);
  const named = new Map<string, Expression | undefined>();
  let schemas = 0;
  let depth = 0;

  const part: PartGrammar = (given, path) => {
    if (++schemas > MOST_SCHEMAS || depth > DEEPEST) {
      throw new ConstraintError(
        "Cannot constrain an answer by the schema: it has more than " +
          `${MOST_SCHEMAS} schemas or is deeper than ${DEEPEST}; make it simpler`,
      );
    }
    depth++;
    try {
      return visit(reader.simple(given, path), path);
    } finally {
      depth--;
    }
  };
  const visit: PartGrammar = (given, path) => {
    if (given === true) return json.value;
    if (given === false) return NEVER;
    if (typeof given.$ref === "string") return referred(given.$ref, path);
    const { anyOf, oneOf, ...rest } = given;
    if (Array.isArray(oneOf)) {
      const branches = branchesOf(anyOf === undefined ? rest : { ...rest, anyOf }, oneOf, path);
      refuseOverlap(branches, path);
      return choice(...branches.map((branch, index) => part(branch, `${path}/oneOf/${index}`)));
    }
    if (Array.isArray(anyOf)) {
      const branches = branchesOf(rest, anyOf, path);
      return choice(...branches.map((branch, index) => part(branch, `${path}/anyOf/${index}`)));
    }
    const values = allowedValues(given, path);
    if (values) return choice(...values.map(json.constant));
    return choice(...typesOf(given).map((type) => ofType(type, given, path)));
  };
  const referred = (reference: string, path: string): Expression | undefined => {
    if (named.has(reference)) return named.get(reference);
    const rule = createRule();
    named.set(reference, rule);
    const body = part(reader.resolve(reference, path), reference);
    if (body === undefined) {
      named.set(reference, NEVER);
      return NEVER;
    }
    if (body === rule) {
      throw new ConstraintError(
        `Cannot constrain an answer by the schema: ${reference} contains itself and nothing else`,
      );
    }
    rule.body = body;
    return rule;
  };
  const branchesOf = (base: SchemaObject, branches: readonly unknown[], path: string) =>
    branches.filter(isSchema).map((branch) =>
      Object.keys(base).length === 0 ? branch : mergeBranch(base, branch, path)
    );
  const mergeBranch = (base: SchemaObject, branch: JsonSchema, path: string): JsonSchema => {
    const simple = reader.simple(branch, path);
    return typeof simple !== "boolean" && typeof simple.$ref === "string"
      ? { allOf: [base, simple] }
      : mergeSchemas(base, simple, path);
  };
  const refuseOverlap = (branches: readonly JsonSchema[], path: string) => {
    for (const [index, one] of branches.entries()) {
      const other = branches.findIndex((candidate, at) =>
        at > index && !areDisjoint(one, candidate, reader, path)
      );
      if (other < 0) continue;
      throw new ConstraintError(
        `Cannot constrain an answer by the schema: a value could satisfy several of oneOf in ${path} ` +
          `(${index} and ${other}), which cannot be ruled out; use anyOf, or give each a constant of ` +
          "its own",
      );
    }
  };
  const ofType = (
    type: JsonType,
    given: SchemaObject,
    path: string,
  ): Expression | undefined => {
    switch (type) {
      case "object":
        return objectGrammar(given, json, part, path);
      case "array":
        return arrayGrammar(given, json, part, path);
      case "string":
        return stringGrammar(stringKeywords(given), json, path);
      case "integer":
        return typesOf(given).includes("number") ? NEVER : wholeNumbers(given, json, path);
      case "number":
        return numbers(given, json, path);
      case "boolean":
        return choice(literal("true"), literal("false"));
      case "null":
        return literal("null");
    }
  };
  const root = part(schema, "#");
  if (root !== undefined && hasEnd(root)) return root;
  throw new ConstraintError(
    "Cannot constrain an answer by the schema: no value satisfies it",
  );
}

function wholeNumbers(
  schema: SchemaObject,
  json: JsonGrammar,
  path: string,
): Expression | undefined {
  const { multipleOf } = schema;
  if (multipleOf !== undefined && 1 % Number(multipleOf) !== 0) refuseMultiples(path);
  const range = rangeOf(schema);
  return range ? integerRange(range) : json.integer;
}

function numbers(schema: SchemaObject, json: JsonGrammar, path: string): Expression | undefined {
  const { multipleOf } = schema;
  if (multipleOf === 1) return wholeNumbers(schema, json, path);
  if (multipleOf !== undefined) refuseMultiples(path);
  const range = rangeOf(schema);
  return range ? decimalRange(range) : json.number;
}

function refuseMultiples(path: string): never {
  throw new ConstraintError(
    `Cannot constrain an answer by the schema: ${path} has multipleOf, which is only supported as 1; ` +
      "leave it out, and check the answer for it",
  );
}

/** The tighter of the bounds that a schema has, if it has any. */
function rangeOf(schema: SchemaObject): NumberRange | undefined {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  const bounded = (value: unknown, none: number): number =>
    typeof value === "number" && Number.isFinite(value) ? value : none;
  const low = [bounded(minimum, -Infinity), bounded(exclusiveMinimum, -Infinity)] as const;
  const high = [bounded(maximum, Infinity), bounded(exclusiveMaximum, Infinity)] as const;
  const least = Math.max(...low);
  const most = Math.min(...high);
  if (least === -Infinity && most === Infinity) return undefined;
  return {
    ...(least === -Infinity ? {} : { least, leastOutside: low[1] >= low[0] }),
    ...(most === Infinity ? {} : { most, mostOutside: high[1] <= high[0] }),
  };
}
