/** A schema that is an object; what its keywords hold is not checked yet. */
export type SchemaObject = Readonly<Record<string, unknown>>;

/** A schema: `true` allows everything, `false` nothing. */
export type JsonSchema = boolean | SchemaObject;

/** Types of JSON values, integers apart from numbers. */
export const TYPES = ["object", "array", "string", "integer", "number", "boolean", "null"] as const;
export type JsonType = (typeof TYPES)[number];

/** Keywords that say nothing about values; they may stand anywhere. */
export const ANNOTATIONS: ReadonlySet<string> = new Set([
  "$schema",
  "$id",
  "id",
  "$comment",
  "$defs",
  "$anchor",
  "$vocabulary",
  "definitions",
  "title",
  "description",
  "default",
  "example",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "contentEncoding",
  "contentMediaType",
  "contentSchema",
  "discriminator",
  "externalDocs",
  "xml",
]);

/** Keywords that are enforced, by the type that they are about. */
export const ENFORCED = {
  any: ["type", "enum", "const", "$ref", "allOf", "anyOf", "oneOf"],
  object: [
    "properties",
    "patternProperties",
    "required",
    "additionalProperties",
    "minProperties",
    "maxProperties",
  ],
  array: ["items", "prefixItems", "additionalItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
} as const;

export const KNOWN: ReadonlySet<string> = new Set<string>([
  ...Object.values(ENFORCED).flat(),
  "uniqueItems",
]);

/** Whether a value is an object, no list. */
export function isObject(value: unknown): value is SchemaObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value may be a schema. */
export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "boolean" || isObject(value);
}
