import { assert, assertEquals, assertThrows } from "@std/assert";
import addFormats from "npm:ajv-formats@3.0.1";
import { Ajv2020 } from "npm:ajv@8.20.0/dist/2020.js";
import fc from "npm:fast-check@4.10.2";
import { xoroshiro128plusFromState } from "npm:pure-rand@8.4.2/generator/xoroshiro128plus";
import { ConstraintError } from "../../../../runtime/errors.ts";
import { FORMATS } from "../../../../runtime/sampling/schema/formats.ts";
import type { JsonSchema } from "../../../../runtime/sampling/schema/keywords.ts";
import { accepts, constrain, sample } from "../_byte_vocabulary.ts";

const allows = (schema: JsonSchema, value: unknown) =>
  accepts({ kind: "json_schema", schema }, JSON.stringify(value));

const random = xoroshiro128plusFromState([5, 6, 7, 8]);
const uniform = () => (random.next() >>> 0) / 2 ** 32;

/** Draws from a schema, and checks each by ajv with its formats. */
function drawAndCheck(schema: JsonSchema, times: number): string[] {
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  const validate = ajv.compile(schema);
  const constraint = constrain({ kind: "json_schema", schema });
  return Array.from({ length: times }, () => sample(constraint.fork(), uniform))
    .filter((text) => text !== undefined)
    .map((text) => {
      assert(validate(JSON.parse(text)), `${JSON.stringify(schema)}: ${text}`);
      return text;
    });
}

const PERSON = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 12 },
    age: { type: "integer", minimum: 0, maximum: 120 },
    mail: { type: ["string", "null"], pattern: "^[a-z]+@[a-z]+\\.(org|net)$" },
    tags: { type: "array", items: { enum: ["a", "b", 3] }, minItems: 1, maxItems: 3 },
    friends: { type: "array", items: { $ref: "#" } },
  },
  required: ["name", "age"],
  additionalProperties: false,
};

Deno.test("a schema of nested objects allows what it says, in its own order", () => {
  assert(allows(PERSON, { name: "é", age: 120 }));
  assert(allows(PERSON, { name: "A", age: 7, mail: "a@b.org", tags: ["a", 3] }));
  assert(allows(PERSON, { name: "A", age: 7, friends: [{ name: "B", age: 8, mail: null }] }));
  for (
    const wrong of [
      { name: "", age: 1 },
      { name: "A", age: 121 },
      { name: "A", age: -1 },
      { name: "A" },
      { age: 1, name: "A" },
      { name: "A", age: 1, mail: "a@b.com" },
      { name: "A", age: 1, tags: [] },
      { name: "A", age: 1, tags: ["a", "a", "a", "a"] },
      { name: "A", age: 1, other: 1 },
      { name: "A", age: 1, friends: [{ name: "B" }] },
      [],
    ]
  ) assertEquals(allows(PERSON, wrong), false, JSON.stringify(wrong));
  assertEquals(drawAndCheck(PERSON, 60).length > 20, true);
});

Deno.test("a schema allows white space as JSON is usually written, and no more", () => {
  const value = { name: "A", age: 1, tags: ["a", "b"] };
  const spec = { kind: "json_schema", schema: PERSON } as const;
  for (const indent of [0, 1, 2, 4, "\t"]) {
    assert(accepts(spec, JSON.stringify(value, null, indent)), `${indent}`);
  }
  assertEquals(accepts(spec, '{  "name": "A", "age": 1}'), false);
  assertEquals(accepts(spec, ' {"name": "A", "age": 1}'), false);
  assertEquals(accepts(spec, '{"name": "A", "age": 1}\n'), false);
});

Deno.test("bounds of numbers are exact, for whole numbers and others", () => {
  const bound = fc.oneof(
    fc.integer({ min: -1200, max: 1200 }),
    fc.integer({ min: -5000, max: 5000 }).map((value) => value / 100),
  );
  const property = fc.property(
    fc.constantFrom("integer", "number"),
    fc.record({
      minimum: bound,
      maximum: bound,
      exclusiveMinimum: bound,
      exclusiveMaximum: bound,
    }, { requiredKeys: [] }),
    fc.array(bound, { maxLength: 12 }),
    (type, bounds, values) => {
      const schema = { type, ...bounds };
      const validate = new Ajv2020().compile(schema);
      const near = Object.values(bounds).flatMap((value) => [value, value + 1, value - 0.01]);
      for (const value of [...values, ...near.map((one) => Math.round(one * 100) / 100)]) {
        const text = JSON.stringify(value);
        let allowed;
        try {
          allowed = accepts({ kind: "json_schema", schema }, text);
        } catch (error) {
          if (!(error instanceof ConstraintError)) throw error;
          allowed = false;
        }
        assertEquals(allowed, validate(value), `${JSON.stringify(schema)} ${text}`);
      }
    },
  );
  fc.assert(property, { numRuns: 150 });
});

for (const format of Object.keys(FORMATS)) {
  Deno.test(`texts of the format ${format} are valid for ajv`, () => {
    assert(drawAndCheck({ type: "string", format }, 40).length > 20);
  });
}

Deno.test("dates know the days of their months", () => {
  const schema = { type: "string", format: "date" };
  for (const right of ["2024-02-29", "2000-02-29", "1999-12-31"]) assert(allows(schema, right));
  for (const wrong of ["2023-02-29", "1900-02-29", "2024-04-31", "2024-13-01", "2024-00-10"]) {
    assertEquals(allows(schema, wrong), false, wrong);
  }
});

Deno.test("other members than the declared ones have other names, however they are spelled", () => {
  const schema = {
    type: "object",
    properties: { a: { type: "integer" }, 'q"': { type: "integer" } },
    additionalProperties: { type: "string" },
  };
  assert(allows(schema, { a: 1, b: "x" }));
  assert(allows(schema, { ab: "x", "": "y" }));
  assertEquals(allows(schema, { a: "x" }), false);
  assertEquals(accepts({ kind: "json_schema", schema }, '{"\\u0061":"x"}'), false);
  assertEquals(allows(schema, { 'q"': "x" }), false);
  drawAndCheck(schema, 40);
});

Deno.test("patterns hold where strings escape what they stand for", () => {
  const schema = { type: "string", pattern: '^["\\\\\\n]{2}é$' };
  assert(allows(schema, '"\\é'));
  assert(allows(schema, "\n\né"));
  assertEquals(allows(schema, "aaé"), false);
  assert(allows({ type: "string", pattern: "b" }, "abc"));
  assertEquals(allows({ type: "string", pattern: "b" }, "ac"), false);
});

Deno.test("what cannot be enforced is refused by its name and place", () => {
  const refuse = (schema: JsonSchema, message: string) =>
    assertThrows(() => constrain({ kind: "json_schema", schema }), ConstraintError, message);
  refuse({ properties: { a: { not: {} } } }, "#/properties/a has not, which is not supported");
  refuse({ uniqueItems: true }, "# has uniqueItems, which is not supported");
  refuse({ type: "strin" }, "type in # must be one or several of object, array");
  refuse({ minLength: -1 }, "minLength in # must be a whole number from 0, got -1");
  refuse({ type: "integer", multipleOf: 3 }, "# has multipleOf, which is only supported as 1");
  refuse({ type: "string", pattern: "a(?=b)" }, "looks around itself");
  refuse({ type: "string", pattern: "(a)\\1" }, "refers back with \\1");
  refuse({ type: "string", pattern: "(" }, "is not valid");
  refuse({ type: "string", pattern: "^a*$", minLength: 3 }, "say the length in the pattern");
  refuse({ $ref: "other.json" }, "refers to other.json, which is not supported");
  refuse({ $ref: "#/$defs/no" }, "refers to #/$defs/no, which is no schema");
  refuse({ enum: [] }, "no value satisfies it");
  refuse({ type: "object", required: ["a"], properties: { a: false } }, "no value satisfies it");
  refuse({ oneOf: [{ type: "integer" }, { type: "number" }] }, "several of oneOf in # (0 and 1)");
  const endless = { type: "object", properties: { a: { $ref: "#" } }, required: ["a"] };
  refuse(endless, "no value satisfies it");
  let deep: JsonSchema = {};
  for (let depth = 0; depth < 200; depth++) deep = { type: "array", items: deep };
  refuse(deep, "deeper than 100");
  const many = Object.fromEntries(Array.from({ length: 501 }, (_, at) => [`p${at}`, true]));
  refuse({ type: "object", properties: many }, "# has 501 properties, the most are 500");
  refuse({ $ref: "#" }, "contains itself");
  refuse({ allOf: [{ $ref: "#" }] }, "contains itself without an end");
});

Deno.test("oneOf is enforced where its schemas are told apart", () => {
  const kind = (name: string) => ({
    type: "object",
    properties: { kind: { const: name }, [name]: { type: "integer" } },
    required: ["kind", name],
    additionalProperties: false,
  });
  const schema = { oneOf: [kind("a"), kind("b"), { type: "null" }] };
  assert(allows(schema, { kind: "b", b: 1 }));
  assert(allows(schema, null));
  assertEquals(allows(schema, { kind: "b", a: 1 }), false);
  drawAndCheck(schema, 20);
});

Deno.test("patternProperties: names that match have their schema, and no others are there", () => {
  const schema = {
    type: "object",
    properties: { id: { type: "integer" } },
    patternProperties: {
      "^x-[a-z]+$": { type: "string" },
      "^n_[0-9]{1,3}$": { type: "number", minimum: 0 },
    },
    required: ["id", "n_1"],
    additionalProperties: false,
  };
  assert(allows(schema, { id: 1, n_1: 2.5 }));
  assert(allows(schema, { id: 1, n_1: 2, "x-ray": "a", n_123: 0 }));
  for (
    const wrong of [
      { id: 1 },
      { id: 1, n_1: -1 },
      { id: 1, n_1: 1, "x-ray": 1 },
      { id: 1, n_1: 1, "x-": "" },
      { id: 1, n_1: 1, other: 1 },
      { id: 1, n_1: 1, n_1234: 1 },
    ]
  ) assertEquals(allows(schema, wrong), false, JSON.stringify(wrong));
  assert(drawAndCheck(schema, 20).length > 10);
  // Names that may match two patterns with one schema are no trouble.
  const alike = { a: { type: "null" }, b: { type: "null" } };
  assert(allows({ patternProperties: alike, additionalProperties: false }, { cab: null }));

  const refuse = (more: object, message: string) =>
    assertThrows(
      () => constrain({ kind: "json_schema", schema: { additionalProperties: false, ...more } }),
      ConstraintError,
      message,
    );
  const patterns = { "^a": { type: "null" }, "b$": { type: "string" } };
  refuse({ patternProperties: patterns }, 'a name could match both "^a" and "b$"');
  refuse(
    { patternProperties: { "^a": true }, properties: { ab: true } },
    'the property "ab" matches one of them',
  );
  refuse(
    { patternProperties: { "^a": true }, additionalProperties: true },
    "only supported where additionalProperties is false",
  );
  refuse({ patternProperties: { "^a": 1 } }, "patternProperties in # must be an object of schemas");
  refuse({ patternProperties: { "(?=a)": true } }, "the pattern");
  refuse(
    { patternProperties: { "^a": true }, allOf: [{ properties: { b: true } }] },
    "patternProperties and properties that must both hold",
  );
});
