import { ConstraintError } from "../../errors.ts";
import { equalJson } from "./equal_json.ts";
import { isSchema, type JsonSchema, type JsonType, type SchemaObject, TYPES } from "./keywords.ts";

/** Types that a schema names, all where it names none. */
export function typesOf({ type }: SchemaObject): readonly JsonType[] {
  const wanted: readonly unknown[] = type === undefined ? TYPES : [type].flat();
  return TYPES.filter((known) => wanted.includes(known));
}

/** Types that two lists have in common; whole numbers are numbers. */
export function commonTypes(a: readonly JsonType[], b: readonly JsonType[]): readonly JsonType[] {
  const has = (list: readonly JsonType[], type: JsonType) =>
    list.includes(type) || (type === "integer" && list.includes("number"));
  return TYPES.filter((type) => has(a, type) && has(b, type));
}

/**
 * A schema that allows what two schemas both allow.
 *
 * @throws {ConstraintError} If two keywords cannot be joined.
 */
export function mergeSchemas(a: JsonSchema, b: JsonSchema, path: string): JsonSchema {
  if (a === false || b === false) return false;
  if (a === true) return b;
  if (b === true) return a;
  if (a.prefixItems !== undefined || b.prefixItems !== undefined) {
    refuseListsBeside(a, b, path);
    refuseListsBeside(b, a, path);
  }
  refusePatternsBeside(a, b, path);
  refusePatternsBeside(b, a, path);
  const merged: Record<string, unknown> = { ...a };
  for (const [keyword, value] of Object.entries(b)) {
    if (value === undefined) continue;
    const present = merged[keyword];
    merged[keyword] = present === undefined ? value : both(keyword, present, value, path);
  }
  if (a.type !== undefined && b.type !== undefined) {
    merged.type = commonTypes(typesOf(a), typesOf(b));
  }
  if (a.properties !== undefined || b.properties !== undefined) {
    merged.properties = mergedProperties(a, b);
  }
  return merged;
}

function both(keyword: string, a: unknown, b: unknown, path: string): unknown {
  if (equalJson(a, b)) return a;
  switch (keyword) {
    case "type":
    case "properties":
      return a;
    case "required":
      return [...new Set([...listOf(a), ...listOf(b)])];
    case "enum":
      return listOf(a).filter((value) => listOf(b).some((other) => equalJson(value, other)));
    case "const":
      return NOTHING;
    case "minimum":
    case "exclusiveMinimum":
    case "minLength":
    case "minItems":
    case "minProperties":
      return Math.max(Number(a), Number(b));
    case "maximum":
    case "exclusiveMaximum":
    case "maxLength":
    case "maxItems":
    case "maxProperties":
      return Math.min(Number(a), Number(b));
    case "additionalProperties":
    case "items":
    case "additionalItems":
      return { allOf: [a, b] };
    case "allOf":
      return [...listOf(a), ...listOf(b)];
    case "anyOf":
      return listOf(a).flatMap((one) => listOf(b).map((other) => ({ allOf: [one, other] })));
    default:
      if (ANNOTATION.has(keyword)) return a;
      throw new ConstraintError(
        `Cannot constrain an answer by the schema: ${path} has two ${keyword} that must both hold, ` +
          "which is not supported; write them as one",
      );
  }
}

/** What stands at each place of one list cannot be told from what stands anywhere in another. */
function refuseListsBeside(a: SchemaObject, b: SchemaObject, path: string): void {
  if (a.prefixItems === undefined || b.items === undefined) return;
  if (equalJson(a.prefixItems, b.prefixItems)) return;
  throw new ConstraintError(
    `Cannot constrain an answer by the schema: ${path} has prefixItems and items that must both ` +
      "hold, which is not supported; write them as one",
  );
}

/** Which properties of one object match patterns of another would have to be found out. */
function refusePatternsBeside(a: SchemaObject, b: SchemaObject, path: string): void {
  if (a.patternProperties === undefined) return;
  const beside = ["properties", "patternProperties", "additionalProperties", "required"]
    .find((keyword) => b[keyword] !== undefined && !equalJson(a[keyword], b[keyword]));
  if (beside === undefined) return;
  throw new ConstraintError(
    `Cannot constrain an answer by the schema: ${path} has patternProperties and ${beside} that must ` +
      "both hold, which is not supported; write them as one",
  );
}

/** A constant that no value equals. */
const NOTHING = Symbol("nothing");
const ANNOTATION: ReadonlySet<string> = new Set([
  "title",
  "description",
  "default",
  "examples",
  "example",
  "$id",
  "id",
  "$schema",
  "$comment",
  "$defs",
  "definitions",
  "$anchor",
  "deprecated",
  "readOnly",
  "writeOnly",
]);

function mergedProperties(a: SchemaObject, b: SchemaObject): Record<string, unknown> {
  const of = ({ properties }: SchemaObject) =>
    (typeof properties === "object" && properties !== null ? properties : {}) as SchemaObject;
  const restOf = ({ additionalProperties }: SchemaObject) => additionalProperties ?? true;
  const result: Record<string, unknown> = {};
  for (const name of new Set([...Object.keys(of(a)), ...Object.keys(of(b))])) {
    const parts = [of(a)[name] ?? restOf(a), of(b)[name] ?? restOf(b)]
      .filter((part) => isSchema(part) && part !== true);
    result[name] = parts.length > 1 ? { allOf: parts } : parts[0] ?? true;
  }
  return result;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
