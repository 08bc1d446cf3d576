import { ConstraintError } from "../../errors.ts";
import { ANNOTATIONS, isObject, isSchema, KNOWN, type SchemaObject, TYPES } from "./keywords.ts";

type Check = readonly [holds: (value: unknown) => boolean, wanted: string];

const count: Check = [
  (value) => typeof value === "number" && Number.isInteger(value) && value >= 0,
  "a whole number from 0",
];
const number: Check = [(value) => typeof value === "number", "a number"];
const text: Check = [(value) => typeof value === "string", "a text"];
const schema: Check = [isSchema, "a schema"];
const schemas: Check = [
  (value) => Array.isArray(value) && value.length > 0 && value.every(isSchema),
  "a list of schemas",
];
const isType = (value: unknown) => TYPES.some((type) => type === value);

const CHECKS: Readonly<Record<string, Check>> = {
  type: [
    (value) => isType(value) || (Array.isArray(value) && value.every(isType)),
    `one or several of ${TYPES.join(", ")}`,
  ],
  enum: [Array.isArray, "a list of values"],
  $ref: text,
  allOf: schemas,
  anyOf: schemas,
  oneOf: schemas,
  properties: [
    (value) => isObject(value) && Object.values(value).every(isSchema),
    "an object of schemas",
  ],
  patternProperties: [
    (value) => isObject(value) && Object.values(value).every(isSchema),
    "an object of schemas",
  ],
  required: [
    (value) => Array.isArray(value) && value.every((name) => typeof name === "string"),
    "a list of names",
  ],
  additionalProperties: schema,
  minProperties: count,
  maxProperties: count,
  items: [
    (value) => isSchema(value) || (Array.isArray(value) && value.every(isSchema)),
    "a schema",
  ],
  prefixItems: schemas,
  additionalItems: schema,
  minItems: count,
  maxItems: count,
  minLength: count,
  maxLength: count,
  pattern: text,
  format: text,
  minimum: number,
  maximum: number,
  exclusiveMinimum: number,
  exclusiveMaximum: number,
  multipleOf: [(value) => typeof value === "number" && value > 0, "a number above 0"],
};

/**
 * Refuses what cannot be enforced, by its name.
 *
 * @throws {ConstraintError} If a keyword is not supported, or holds what it must not.
 */
export function checkKeywords(given: SchemaObject, path: string): void {
  for (const [keyword, value] of Object.entries(given)) {
    if (ANNOTATIONS.has(keyword) || keyword.startsWith("x-") || value === undefined) continue;
    if (keyword === "nullable" && value === false) continue;
    if (keyword === "uniqueItems" && value === false) continue;
    if (!KNOWN.has(keyword) || keyword === "uniqueItems") {
      throw new ConstraintError(
        `Cannot constrain an answer by the schema: ${path} has ${keyword}, which is not supported; ` +
          "leave it out, and check the answer for it",
      );
    }
    const check = CHECKS[keyword];
    if (check && !check[0](value)) {
      throw new ConstraintError(
        `Cannot constrain an answer by the schema: ${keyword} in ${path} must be ${
          check[1]
        }, got ` +
          `${JSON.stringify(value)?.slice(0, 60)}`,
      );
    }
  }
}
