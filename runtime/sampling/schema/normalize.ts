import { ConstraintError } from "../../errors.ts";
import { checkKeywords } from "./check_keywords.ts";
import { ANNOTATIONS, isSchema, type JsonSchema, type SchemaObject } from "./keywords.ts";
import { mergeSchemas } from "./merge.ts";

/** References that follow each other at most. */
const DEEPEST = 64;

/** Finds schemas in the document that they stand in, and makes them simple. */
export interface SchemaReader {
  /** What a reference points to. */
  resolve(reference: string, path: string): JsonSchema;
  /**
   * A schema without `allOf` and without a reference beside other keywords. A reference by itself
   * stays, so that what contains itself has an end.
   */
  simple(schema: JsonSchema, path: string): JsonSchema;
}

/** Reads schemas of one document. */
export function createSchemaReader(root: JsonSchema): SchemaReader {
  const resolve: SchemaReader["resolve"] = (reference, path) => {
    const refuse = (what: string): never => {
      throw new ConstraintError(
        `Cannot constrain an answer by the schema: ${path} refers to ${reference}, ${what}`,
      );
    };
    if (reference !== "#" && !reference.startsWith("#/")) {
      return refuse("which is not supported: references must begin with #/");
    }
    let found: unknown = root;
    for (const part of reference.split("/").slice(1)) {
      const name = decoded(part).replaceAll("~1", "/").replaceAll("~0", "~");
      found = typeof found === "object" && found !== null && Object.hasOwn(found, name)
        ? Reflect.get(found, name)
        : undefined;
    }
    return isSchema(found) ? found : refuse("which is no schema");
  };
  const simple = (schema: JsonSchema, path: string, depth = 0): JsonSchema => {
    if (typeof schema === "boolean") return schema;
    if (depth > DEEPEST) {
      throw new ConstraintError(
        `Cannot constrain an answer by the schema: ${path} contains itself without an end`,
      );
    }
    checkKeywords(schema, path);
    const { $ref, allOf, ...own } = modern(schema);
    const others = Object.keys(own).filter((keyword) => !ANNOTATIONS.has(keyword));
    const parts = Array.isArray(allOf) ? allOf.filter(isSchema) : [];
    if (typeof $ref === "string") {
      if (others.length === 0 && parts.length === 0) return { $ref };
      parts.unshift(resolve($ref, path));
    }
    return parts.reduce<JsonSchema>(
      (merged, part) => mergeSchemas(merged, whole(part, path, depth + 1), path),
      own,
    );
  };
  /** A simple schema in whose place no reference stands. */
  const whole = (schema: JsonSchema, path: string, depth: number): JsonSchema => {
    const result = simple(schema, path, depth);
    if (typeof result === "boolean" || typeof result.$ref !== "string") return result;
    return whole(resolve(result.$ref, path), path, depth + 1);
  };
  return { resolve, simple: (schema, path) => simple(schema, path) };
}

/** Lists of items as drafts before 2020 wrote them. */
function modern(schema: SchemaObject): SchemaObject {
  const { items, additionalItems, ...rest } = schema;
  if (!Array.isArray(items)) return items === undefined ? rest : { ...rest, items };
  return {
    ...rest,
    ...(items.length > 0 ? { prefixItems: items } : {}),
    ...(additionalItems === undefined ? {} : { items: additionalItems }),
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
