import { type ConversionConfig, toJsonSchema } from "npm:@valibot/to-json-schema@1.8.0";
import type { Route } from "./route.ts";

/** What the schemas cannot say in JSON Schema is left out: checks are made anyway. */
const CONVERSION: ConversionConfig = { errorMode: "ignore", typeMode: "input" };

const ERROR = {
  description: "What is wrong with the request, or with the server",
  content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
};

const ERROR_SCHEMA = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "type", "param", "code"],
      properties: {
        message: { type: "string" },
        type: { type: "string" },
        param: { type: ["string", "null"] },
        code: { type: ["string", "null"] },
        n_prompt_tokens: { type: "integer" },
        n_ctx: { type: "integer" },
      },
    },
  },
};

/** The description of all routes in OpenAPI 3.1, from the schemas that check their bodies. */
export function openApi(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)(\{.*\})?/, "{$1}");
    const operations = paths[path] ??= {};
    operations[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: { title: "kvjudge serve", version, license: { name: "Apache-2.0" } },
    paths,
    components: {
      schemas: { Error: ERROR_SCHEMA },
      securitySchemes: { key: { type: "http", scheme: "bearer" } },
    },
  };
}

function operation({ summary, body, path, open }: Route): object {
  return {
    summary,
    ...(open ? { security: [] } : { security: [{ key: [] }] }),
    ...(path.includes(":")
      ? { parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }] }
      : {}),
    ...(body
      ? {
        requestBody: {
          required: true,
          content: { "application/json": { schema: schemaOf(body) } },
        },
      }
      : {}),
    responses: { 200: { description: "OK" }, default: ERROR },
  };
}

function schemaOf(body: NonNullable<Route["body"]>): object {
  const { $schema: _, ...schema } = toJsonSchema(body, CONVERSION);
  return schema;
}
