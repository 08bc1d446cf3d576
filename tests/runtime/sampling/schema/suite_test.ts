import { assert, assertEquals } from "@std/assert";
import { Ajv2020 } from "npm:ajv@8.20.0/dist/2020.js";
import { xoroshiro128plusFromState } from "npm:pure-rand@8.4.2/generator/xoroshiro128plus";
import { ConstraintError } from "../../../../runtime/errors.ts";
import { constraintGrammar } from "../../../../runtime/sampling/grammar/constraint_grammar.ts";
import type { JsonSchema } from "../../../../runtime/sampling/schema/keywords.ts";
import { accepts, constrain, sample } from "../_byte_vocabulary.ts";

interface Group {
  readonly description: string;
  readonly schema: JsonSchema;
  readonly tests: readonly { readonly data: unknown; readonly valid: boolean }[];
}

/** Draft 2020-12 of the JSON Schema Test Suite, by file. */
const SUITE: Readonly<Record<string, readonly Group[]>> = JSON.parse(
  Deno.readTextFileSync(
    new URL("../../../fixtures/json_schema_suite/draft2020-12.json", import.meta.url),
  ),
);

/** Groups of each file that are refused because of a keyword; all others are enforced. */
const REFUSED: Readonly<Record<string, number>> = {
  additionalProperties: 2,
  allOf: 1,
  contains: 7,
  defs: 1,
  dependentRequired: 4,
  "if-then-else": 12,
  items: 1,
  maxProperties: 3,
  minProperties: 2,
  multipleOf: 5,
  not: 9,
  oneOf: 8,
  patternProperties: 6,
  properties: 1,
  propertyNames: 6,
  ref: 17,
  uniqueItems: 3,
};

/** Members in another order than the schema's, which a grammar does not know. */
const OTHER_ORDER = ["allOf", "allOf with base schema", "const with object"];

function isRefused(schema: JsonSchema): string | undefined {
  try {
    constraintGrammar({ kind: "json_schema", schema });
    return undefined;
  } catch (error) {
    if (error instanceof ConstraintError) return error.message;
    throw error;
  }
}

Deno.test("a schema of the test suite is refused only for what it asks for, by name", () => {
  const refused: Record<string, number> = {};
  for (const [file, groups] of Object.entries(SUITE)) {
    for (const { schema, tests, description } of groups) {
      const message = isRefused(schema);
      if (message === undefined) continue;
      if (message.includes("no value satisfies it")) {
        assertEquals(tests.some(({ valid }) => valid), false, `${file}: ${description}`);
        continue;
      }
      refused[file] = (refused[file] ?? 0) + 1;
    }
  }
  assertEquals(refused, REFUSED);
});

Deno.test("constraints allow the valid instances of the test suite, and no other", () => {
  let right = 0;
  for (const [file, groups] of Object.entries(SUITE)) {
    for (const { description, schema, tests } of groups) {
      if (isRefused(schema) !== undefined) continue;
      for (const { data, valid } of tests) {
        const text = JSON.stringify(data);
        const allowed = accepts({ kind: "json_schema", schema }, text);
        if (!valid) assertEquals(allowed, false, `${file}: ${description}: ${text}`);
        else if (!allowed) assert(file === "format" || OTHER_ORDER.includes(description), text);
        else right++;
      }
    }
  }
  assert(right >= 300, `${right}`);
});

Deno.test("what is drawn at random from the schemas of the test suite parses and is valid", () => {
  const random = xoroshiro128plusFromState([1, 2, 3, 4]);
  const uniform = () => (random.next() >>> 0) / 2 ** 32;
  let drawn = 0;
  for (const [file, groups] of Object.entries(SUITE)) {
    for (const { description, schema } of groups) {
      if (isRefused(schema) !== undefined) continue;
      const ajv = new Ajv2020({ strict: false, validateFormats: false });
      const validate = ajv.compile(schema);
      const constraint = constrain({ kind: "json_schema", schema });
      let whole = 0;
      for (let attempt = 0; attempt < 6; attempt++) {
        const text = sample(constraint.fork(), uniform);
        if (text === undefined) continue;
        whole++;
        assert(validate(JSON.parse(text)), `${file}: ${description}: ${text}`);
      }
      assert(whole > 0, `${file}: ${description}: no end was found`);
      drawn += whole;
    }
  }
  assert(drawn > 600, `${drawn}`);
});
