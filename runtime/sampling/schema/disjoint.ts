import { equalJson } from "./equal_json.ts";
import { isObject, isSchema, type JsonSchema, type SchemaObject } from "./keywords.ts";
import { matching, namePatterns } from "./pattern_properties.ts";
import { commonTypes, typesOf } from "./merge.ts";
import type { SchemaReader } from "./normalize.ts";
import { allowedValues } from "./values.ts";

/** Members that are compared inside each other. */
const DEEPEST = 4;

/** Whether no value can satisfy two schemas at once, as far as that is easily seen. */
export function areDisjoint(
  a: JsonSchema,
  b: JsonSchema,
  reader: SchemaReader,
  path: string,
  depth = 0,
): boolean {
  const [one, other] = [a, b].map((schema) => followed(schema, reader, path));
  if (one === false || other === false) return true;
  if (!isObject(one) || !isObject(other) || depth > DEEPEST) return false;
  const common = commonTypes(typesOf(one), typesOf(other));
  if (common.length === 0) return true;
  const [left, right] = [allowedValues(one, path), allowedValues(other, path)];
  if (left && right) return !left.some((value) => right.some((same) => equalJson(value, same)));
  if (common.length > 1 || common[0] !== "object") return false;
  return requiredByBoth(one, other).some((name) =>
    areDisjoint(memberOf(one, name), memberOf(other, name), reader, path, depth + 1)
  );
}

function followed(schema: JsonSchema, reader: SchemaReader, path: string): JsonSchema {
  let found = reader.simple(schema, path);
  for (let steps = 0; steps < DEEPEST; steps++) {
    if (typeof found === "boolean" || typeof found.$ref !== "string") return found;
    found = reader.simple(reader.resolve(found.$ref, path), path);
  }
  return true;
}

function requiredByBoth(a: SchemaObject, b: SchemaObject): string[] {
  const of = ({ required }: SchemaObject): readonly unknown[] =>
    Array.isArray(required) ? required : [];
  return of(a).filter((name) => typeof name === "string").filter((name) => of(b).includes(name));
}

function memberOf(schema: SchemaObject, name: string): JsonSchema {
  const { properties, additionalProperties } = schema;
  if (isObject(properties) && Object.hasOwn(properties, name)) {
    const own = properties[name];
    return isSchema(own) ? own : true;
  }
  return matching(namePatterns(schema), name) ??
    (isSchema(additionalProperties) ? additionalProperties : true);
}
