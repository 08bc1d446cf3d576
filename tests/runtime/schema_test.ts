import { assertEquals, assertThrows } from "@std/assert";
import * as v from "npm:valibot@1.5.0";
import {
  ANY_OBJECT,
  checkJson,
  checkRecord,
  COUNT,
  demand,
  FILLED_TEXT,
} from "../../runtime/schema.ts";
import { BudgetError } from "../../runtime/errors.ts";

const SCHEMA = v.object({
  name: FILLED_TEXT,
  counts: v.array(COUNT),
  pair: v.pipe(v.tuple([v.string(), v.array(v.number())]), v.readonly()),
  kind: v.picklist(["raw", "chat"]),
  options: v.exactOptional(ANY_OBJECT),
  inner: v.pipe(v.object({ on: v.boolean(), only: v.literal(1) }), v.readonly()),
});

const GOOD: v.InferOutput<typeof SCHEMA> = {
  name: "a",
  counts: [0, 5],
  pair: ["x", [1]],
  kind: "raw",
  inner: { on: true, only: 1 },
};

Deno.test("checkRecord() gives the value, less what the schema does not know", () => {
  assertEquals(checkRecord(SCHEMA, { ...GOOD, more: 1 }), { value: GOOD });
});

Deno.test("checkRecord() names the field, what it must be and what it is", () => {
  const problem = (change: object) => {
    const checked = checkRecord(SCHEMA, { ...GOOD, ...change });
    return "problem" in checked ? checked.problem : "none";
  };
  const inner = GOOD.inner;
  assertEquals(problem({ name: " " }), '"name" must be a text that is not empty, got " "');
  assertEquals(
    problem({ name: undefined }),
    '"name" must be a text that is not empty, got nothing',
  );
  assertEquals(problem({ name: [1] }), '"name" must be a text that is not empty, got an array');
  assertEquals(problem({ counts: {} }), '"counts" must be an array, got an object');
  assertEquals(
    problem({ counts: [1, -1] }),
    '"counts[1]" must be a whole number of at least 0, got -1',
  );
  assertEquals(
    problem({ counts: [2 ** 31] }),
    '"counts[0]" must be less than 2147483648, got 2147483648',
  );
  assertEquals(problem({ pair: ["x"] }), '"pair[1]" must be an array, got nothing');
  assertEquals(problem({ pair: ["x", ["y"]] }), '"pair[1][0]" must be a number, got "y"');
  assertEquals(problem({ kind: "tree" }), '"kind" must be "raw" or "chat", got "tree"');
  assertEquals(problem({ options: null }), '"options" must be an object, got null');
  assertEquals(
    problem({ inner: { ...inner, on: "x".repeat(100) } }),
    `"inner.on" must be true or false, got "${"x".repeat(60)}…"`,
  );
  assertEquals(problem({ options: [1] }), '"options" must be an object, got an array');
  assertEquals(problem({ inner: [] }), '"inner" must be an object, got an array');
  assertEquals(problem({ inner: { ...inner, only: 2 } }), '"inner.only" must be 1, got 2');
});

Deno.test("checkRecord() says what belongs in a field that is missing", () => {
  const { name: _name, ...nameless } = GOOD;
  assertEquals(checkRecord(SCHEMA, nameless), {
    problem: '"name" must be a text that is not empty, got nothing',
  });
  assertEquals(checkRecord(SCHEMA, { ...GOOD, inner: { on: true } }), {
    problem: '"inner.only" must be 1, got nothing',
  });
  const either = v.union([v.object({ a: v.string() }), v.object({ b: v.string() })]);
  assertEquals(checkRecord(v.object({ either }), {}), {
    problem: '"either" must be an object, got nothing',
  });
});

Deno.test("checkRecord() calls the whole value what it is given as", () => {
  assertEquals(checkRecord(SCHEMA, 3, "the file"), {
    problem: "the file must be an object, got 3",
  });
  assertEquals(checkRecord(SCHEMA, [1]), { problem: "it must be an object, got an array" });
  assertEquals(checkRecord(SCHEMA, undefined), { problem: "it must be an object, got nothing" });
});

Deno.test("checkJson() refuses what is not JSON, deep nesting too", () => {
  const problem = "it is not JSON";
  assertEquals(checkJson(SCHEMA, "{"), { problem });
  assertEquals(checkJson(SCHEMA, "[".repeat(200_000)), { problem });
  assertEquals(checkJson(SCHEMA, JSON.stringify(GOOD)), { value: GOOD });
});

Deno.test("demand() throws what it is given", () => {
  assertEquals(demand({ value: 3 }, (problem) => new BudgetError(problem)), 3);
  assertThrows(
    () => demand({ problem: "it is torn" }, (problem) => new BudgetError(`No: ${problem}`)),
    BudgetError,
    "No: it is torn",
  );
});
