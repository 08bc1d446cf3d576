import * as v from "npm:valibot@1.5.0";
import { checkRecord, fieldPath, type SchemaOf } from "../../runtime/schema.ts";
import { InvalidRequestError } from "../http/request_error.ts";

/**
 * Checks a body against a schema; unknown fields are left alone.
 *
 * @throws {InvalidRequestError} If it does not keep to it, with the field's path as `param`.
 */
export function checkBody<T>(schema: SchemaOf<T>, body: unknown): T {
  const checked = v.safeParse(schema, body, { abortEarly: true, abortPipeEarly: true });
  if (checked.success) return checked.output;
  const worded = checkRecord(schema, body, "the body");
  const path = (checked.issues[0].path ?? []).map(({ key }) => key);
  throw new InvalidRequestError(
    "problem" in worded ? `Invalid request: ${worded.problem}` : "Invalid request",
    { param: path.length === 0 ? null : fieldPath(path), code: "invalid_value" },
  );
}
