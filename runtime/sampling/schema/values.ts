import { ConstraintError } from "../../errors.ts";
import { ENFORCED, type JsonType, type SchemaObject } from "./keywords.ts";
import { typesOf } from "./merge.ts";

/**
 * Values of `enum` and `const` that the rest of a schema allows too.
 *
 * @throws {ConstraintError} If that cannot be said.
 */
export function allowedValues(schema: SchemaObject, path: string): readonly unknown[] | undefined {
  const listed = "const" in schema
    ? [schema.const]
    : Array.isArray(schema.enum)
    ? schema.enum
    : undefined;
  const values = "const" in schema && Array.isArray(schema.enum)
    ? schema.enum.filter((value) => JSON.stringify(value) === JSON.stringify(schema.const))
    : listed;
  const types = typesOf(schema);
  return values?.filter((value) => {
    const type = typeOf(value);
    if (type === undefined) return false;
    const fits = types.includes(type) || (type === "integer" && types.includes("number"));
    return fits && holds(value, schema, path);
  });
}

/** The type of a value; `integer` for whole numbers. */
export function typeOf(value: unknown): JsonType | undefined {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  switch (typeof value) {
    case "object":
      return "object";
    case "string":
      return "string";
    case "boolean":
      return "boolean";
    case "number":
      return Number.isInteger(value) ? "integer" : "number";
    default:
      return undefined;
  }
}

function holds(value: unknown, schema: SchemaObject, path: string): boolean {
  if (typeof value === "number") {
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
    return (typeof minimum !== "number" || value >= minimum) &&
      (typeof maximum !== "number" || value <= maximum) &&
      (typeof exclusiveMinimum !== "number" || value > exclusiveMinimum) &&
      (typeof exclusiveMaximum !== "number" || value < exclusiveMaximum);
  }
  if (typeof value === "string") {
    const { minLength, maxLength, pattern } = schema;
    const { length } = [...value];
    return (typeof minLength !== "number" || length >= minLength) &&
      (typeof maxLength !== "number" || length <= maxLength) &&
      (typeof pattern !== "string" || new RegExp(pattern, "u").test(value));
  }
  const kind = Array.isArray(value) ? "array" : "object";
  const beside = typeof value === "object" && value !== null
    ? ENFORCED[kind].find((keyword) => schema[keyword] !== undefined)
    : undefined;
  if (beside === undefined) return true;
  throw new ConstraintError(
    `Cannot constrain an answer by the schema: ${path} lists ${kind}s and has ${beside} beside them, ` +
      `which is not supported; leave ${beside} out`,
  );
}
