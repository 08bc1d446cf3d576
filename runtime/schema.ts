/**
 * Checks what comes from a file or a request against a schema, and says in words what is wrong.
 *
 * A schema is stated once and its type follows from it (`v.InferOutput`). Only a type that is part of
 * the public face keeps its documented interface, because documentation cannot be inferred: its
 * schema is declared as a {@linkcode SchemaOf} that type, so that the compiler holds both together.
 *
 * @module
 */
import * as v from "npm:valibot@1.5.0";
import { isRecord } from "./checkpoint/read_json.ts";

/** A schema of anything that gives a `T`. */
export type SchemaOf<T> = v.GenericSchema<unknown, T>;

/** A value that keeps to its schema, or what is wrong with it. */
export type Checked<T> = { readonly value: T } | { readonly problem: string };

/**
 * Checks a value. A field that the schema does not know is no problem.
 *
 * Messages of a schema's own say what the field must be: "a text that is not empty".
 *
 * @param root What the whole value is called in the problem.
 * @returns The value as the schema makes it, or the first problem: the field, what it must be and
 * what it is.
 *
 * @example
 * ```ts
 * import * as v from "npm:valibot@1.5.0";
 * import { checkRecord } from "./schema.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const schema = v.object({ names: v.array(v.string()) });
 * assertEquals(checkRecord(schema, { names: ["a"] }), { value: { names: ["a"] } });
 * assertEquals(checkRecord(schema, { names: ["a", 3] }), {
 *   problem: '"names[1]" must be a text, got 3',
 * });
 * ```
 */
export function checkRecord<T>(schema: SchemaOf<T>, value: unknown, root = "it"): Checked<T> {
  // The first problem says enough, and a stranger's file may have millions.
  const checked = v.safeParse(schema, value, { abortEarly: true, abortPipeEarly: true });
  return checked.success
    ? { value: checked.output }
    : { problem: problemOf(schema, checked.issues[0], root) };
}

/** {@linkcode checkRecord} of a JSON text. */
export function checkJson<T>(schema: SchemaOf<T>, text: string, root = "it"): Checked<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: "it is not JSON" };
  }
  return checkRecord(schema, value, root);
}

/**
 * The value of what was checked.
 *
 * @param fail Makes the error: the place, the problem and the way out in one sentence.
 * @throws What `fail` makes, if there is a problem.
 *
 * @example
 * ```ts
 * import * as v from "npm:valibot@1.5.0";
 * import { checkJson, demand } from "./schema.ts";
 * import { CheckpointError } from "./errors.ts";
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(
 *   () =>
 *     demand(
 *       checkJson(v.object({ rank: v.number() }), '{"rank": "2"}'),
 *       (problem) => new CheckpointError(`Cannot read a.json: ${problem}; fetch it again`),
 *     ),
 *   CheckpointError,
 *   'Cannot read a.json: "rank" must be a number, got "2"; fetch it again',
 * );
 * ```
 */
export function demand<T>(checked: Checked<T>, fail: (problem: string) => Error): T {
  if ("value" in checked) return checked.value;
  throw fail(checked.problem);
}

/** A text that holds more than blanks. */
export const FILLED_TEXT = v.pipe(
  v.string("a text that is not empty"),
  v.check((text) => text.trim() !== "", "a text that is not empty"),
);

/** Texts, one at least. */
export const TEXTS = v.pipe(v.array(v.string()), v.minLength(1, "an array that is not empty"));

/** A whole number from 0 that typed arrays of 32 bits hold. */
export const COUNT = v.pipe(
  v.number("a whole number of at least 0"),
  v.integer("a whole number of at least 0"),
  v.minValue(0, "a whole number of at least 0"),
  v.maxValue(2 ** 31 - 1, "less than 2147483648"),
);

/** Any JSON object. For the library an array is one as well. */
export const ANY_OBJECT = v.custom<Readonly<Record<string, unknown>>>(isRecord, "an object");

/** Longer values are cut where a problem shows them. */
const SHOWN = 60;

type Issue = v.BaseIssue<unknown>;

function problemOf(schema: v.GenericSchema, issue: Issue, root: string): string {
  const path = (issue.path ?? []).map(({ key }) => key);
  const parent = issue.path?.at(-1)?.input;
  if (isMissing(issue) && Array.isArray(parent)) {
    return `${fieldText(path.slice(0, -1), root)} must be an object, got an array`;
  }
  const composite = typeof issue.input === "object" && issue.input !== null;
  const got = composite && issue.kind === "validation" ? "" : `, got ${shown(issue.input)}`;
  return `${fieldText(path, root)} must be ${wantedBy(schema, issue)}${got}`;
}

function fieldText(path: readonly unknown[], root: string): string {
  return path.length === 0 ? root : `"${fieldPath(path)}"`;
}

/** Where a field stands, as a reader of JSON would write it: `rows[0].task`. */
export function fieldPath(path: readonly unknown[]): string {
  return path.map((key, at) => typeof key === "number" ? `[${key}]` : at === 0 ? key : `.${key}`)
    .join("");
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value !== "string") return String(value);
  return JSON.stringify(value.length > SHOWN ? `${value.slice(0, SHOWN)}…` : value);
}

/** Whether an object lacks a key; what should be there is not in the issue. */
function isMissing({ input, expected, path }: Issue): boolean {
  return input === undefined && expected === `"${path?.at(-1)?.key}"`;
}

/** What the library's own messages begin with. */
const LIBRARY_MESSAGE = /^Invalid /;

/** How the library calls kinds of values, and how we do. */
const WORDS: Readonly<Record<string, string>> = {
  Array: "an array",
  boolean: "true or false",
  number: "a number",
  Object: "an object",
  string: "a text",
};

function wantedBy(schema: v.GenericSchema, issue: Issue): string {
  const missing = isMissing(issue);
  const inner = missing ? schemaAt(schema, issue.path ?? []) : undefined;
  if (inner) {
    // An object reports a key that it lacks without saying what belongs there.
    const { issues: [first] = [] } = v.safeParse(inner, undefined, { abortEarly: true });
    if (first) return wantedBy(inner, first);
  }
  if (missing) return "there";
  if (!LIBRARY_MESSAGE.test(issue.message)) return issue.message;
  const options = (issue.expected ?? "a valid value").replace(/^\((.*)\)$/, "$1").split(" | ");
  return options.map((option) => WORDS[option] ?? option).join(" or ");
}

/** The schema of a field, where no alternatives stand on the way. */
function schemaAt(
  schema: v.GenericSchema,
  path: readonly v.IssuePathItem[],
): v.GenericSchema | undefined {
  let at: unknown = schema;
  for (const { key, input } of path) at = memberOf(at, key, input);
  return isSchema(at) ? at : undefined;
}

function memberOf(schema: unknown, key: unknown, input: unknown): unknown {
  if (typeof schema !== "object" || schema === null) return undefined;
  if ("pipe" in schema && Array.isArray(schema.pipe)) {
    // A pipe looks like its first part, which may say less than a later one.
    for (const part of schema.pipe) {
      const member = memberOf(part, key, input);
      if (member !== undefined) return member;
    }
    return undefined;
  }
  if ("wrapped" in schema) return memberOf(schema.wrapped, key, input);
  if ("getter" in schema && typeof schema.getter === "function") {
    return memberOf(schema.getter(input), key, input);
  }
  if ("entries" in schema) {
    return Object.entries(schema.entries ?? {}).find(([k]) => k === key)?.[1];
  }
  if ("items" in schema && Array.isArray(schema.items)) return schema.items[Number(key)];
  return "item" in schema ? schema.item : "value" in schema ? schema.value : undefined;
}

function isSchema(value: unknown): value is v.GenericSchema {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "schema";
}
