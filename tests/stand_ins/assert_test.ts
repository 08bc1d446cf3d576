import { AssertionError as NodeAssertionError, deepEqual, ok, rejects, throws } from "node:assert";
import {
  assert,
  assertAlmostEquals,
  assertArrayIncludes,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertIsError,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertNotMatch,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  equal,
  fail,
  unreachable,
} from "@std/assert";

/** Expects a failed assertion whose message has the text. */
function fails(assertion: () => unknown, text: string): void {
  throws(assertion, (error: unknown) => {
    ok(error instanceof AssertionError && !(error instanceof NodeAssertionError));
    ok(error.message.includes(text), `${JSON.stringify(error.message)} lacks ${text}`);
    return true;
  });
}

class Point {
  readonly #x: number;
  constructor(x: number) {
    this.#x = x;
  }
  get x(): number {
    return this.#x;
  }
}

Deno.test("equal() agrees on pairs that other deep equalities judge differently", () => {
  const circular: { self?: unknown } = {};
  circular.self = circular;
  const other: { self?: unknown } = {};
  other.self = other;
  const pairs: [unknown, unknown, boolean][] = [
    [0, -0, true],
    [NaN, NaN, true],
    [1, "1", false],
    [[0, NaN], [-0, NaN], true],
    [Object.create(null), {}, true],
    [{ a: undefined }, {}, false],
    [{ a: undefined }, { b: undefined }, false],
    [{ [Symbol.iterator]: 1 }, { [Symbol.iterator]: 2 }, false],
    [[1, 2], [1, 2, 3], false],
    [new Array(1), [undefined], false],
    [[], {}, false],
    [new Float32Array([0, NaN]), new Float32Array([-0, NaN]), true],
    [new Float32Array([1]), new Float64Array([1]), false],
    [new Float32Array([1, 2]), new Float32Array([1]), false],
    [new Uint8Array([1]).buffer, new Uint8Array([2]).buffer, false],
    [new Date(5), new Date(5), true],
    [new Date(NaN), new Date(NaN), true],
    [/a/g, /a/i, false],
    [new URL("https://a.example/"), new URL("https://b.example/"), false],
    [new Set([{ a: 1 }, { a: 2 }]), new Set([{ a: 2 }, { a: 1 }]), true],
    [new Set([1]), new Set([2]), false],
    [new Map([[{ k: 1 }, 1]]), new Map([[{ k: 1 }, 1]]), true],
    [new Map([["k", [1]]]), new Map([["k", [2]]]), false],
    [new Point(1), new Point(1), true],
    [new Point(1), new Point(2), false],
    [new Point(1), { x: 1 }, false],
    [circular, other, true],
    [null, undefined, false],
    [null, {}, false],
  ];
  for (const [i, [a, b, expected]] of pairs.entries()) {
    ok(equal(a, b) === expected, `pair ${i}`);
    ok(equal(b, a) === expected, `pair ${i}, swapped`);
  }
  throws(() => equal(new WeakMap(), new WeakMap()), TypeError);
});

Deno.test("assertEquals() and assertNotEquals() fail with both values and the caller's words", () => {
  assertEquals({ a: [1] }, { a: [1] });
  fails(() => assertEquals([1, 2], [1, 3]), "Values are not equal.");
  fails(() => assertEquals([1, 2], [1, 3], "kept"), "Values are not equal: kept");
  assertNotEquals([1], [2]);
  fails(() => assertNotEquals([1], [1], "kept"), "kept");
});

Deno.test("assertStrictEquals() and assertNotStrictEquals() compare references", () => {
  const list: number[] = [];
  assertStrictEquals(list, list);
  assertNotStrictEquals(list, []);
  fails(() => assertStrictEquals([] as number[], list, "same"), "same");
  fails(() => assertStrictEquals(0, -0), "strictly equal");
  fails(() => assertNotStrictEquals(list, list), "strictly equal");
});

Deno.test("assertAlmostEquals() takes an absolute tolerance, a ten-millionth by default", () => {
  assertAlmostEquals(1, 1 + 0.9e-7);
  assertAlmostEquals(100, 101, 1);
  assertAlmostEquals(Infinity, Infinity);
  fails(() => assertAlmostEquals(1, 1 + 2e-7), "to be close to");
  fails(() => assertAlmostEquals(100, 101.5, 1, "logit"), "logit");
  fails(() => assertAlmostEquals(NaN, 0), "NaN");
});

Deno.test("assert(), assertFalse() and assertExists() narrow and fail", () => {
  assert(1);
  assertFalse("");
  assertExists(0);
  fails(() => assert(0, "no tokens"), "no tokens");
  fails(() => assertFalse("x", "text"), "text");
  fails(() => assertExists(null), "null or undefined");
});

Deno.test("assertInstanceOf() names both classes", () => {
  assertInstanceOf(new Point(1), Point);
  fails(() => assertInstanceOf({}, Point), 'instance of "Point"');
  fails(() => assertInstanceOf(3, Point, "score"), 'was "number": score');
});

Deno.test("assertGreater() and its siblings order their arguments as actual, expected", () => {
  assertGreater(2, 1);
  assertGreaterOrEqual(1, 1);
  assertLess(1, 2);
  assertLessOrEqual(1, 1);
  fails(() => assertGreater(1, 1), "Expect 1 > 1");
  fails(() => assertGreaterOrEqual(1, 2), "Expect 1 >= 2");
  fails(() => assertLess(2, 1), "Expect 2 < 1");
  fails(() => assertLessOrEqual(NaN, 1, "loss"), "loss");
});

Deno.test("assertStringIncludes(), assertMatch() and assertArrayIncludes() fail with the text", () => {
  assertStringIncludes("did you mean", "you");
  assertMatch("12 passed", /^\d+ passed$/);
  assertNotMatch("12 passed", /failed/);
  assertArrayIncludes([1, { a: 2 }], [{ a: 2 }]);
  fails(() => assertStringIncludes("abc", "x"), 'to contain: "x"');
  fails(() => assertMatch("abc", /x/), 'to match: "/x/"');
  fails(() => assertNotMatch("abc", /b/), "to not match");
  fails(() => assertArrayIncludes([1], [2]), "to include");
});

Deno.test("fail() and unreachable() always fail", () => {
  fails(() => fail("not here"), "Failed assertion: not here");
  fails(() => unreachable(), "Unreachable.");
});

Deno.test("assertThrows() returns the error and checks class and text", () => {
  const thrown = new RangeError("budget must be positive");
  const boom = () => {
    throw thrown;
  };
  ok(assertThrows(boom, RangeError, "budget") === thrown);
  ok(assertThrows(boom) === thrown);
  ok(
    assertThrows(() => {
      // deno-lint-ignore no-throw-literal -- what is not an error must come back too
      throw "text";
    }) === "text",
  );
  fails(() => assertThrows(boom, TypeError), 'instance of "TypeError", but was "RangeError"');
  fails(() => assertThrows(boom, RangeError, "window"), "to include");
  fails(() => assertThrows(() => 1, RangeError), "Expected function to throw");
  fails(() => assertThrows(() => 1, "why"), "Expected function to throw: why");
  fails(
    () =>
      assertThrows(() => {
        // deno-lint-ignore no-throw-literal -- what is not an error must come back too
        throw "text";
      }, Error),
    "non-Error",
  );
});

Deno.test("assertRejects() resolves to the error and refuses a synchronous throw", async () => {
  const thrown = new TypeError("no evidence");
  const boom = () => Promise.reject(thrown);
  ok(await assertRejects(boom, TypeError, "evidence") === thrown);
  ok(await assertRejects(boom) === thrown);
  const failing: [() => Promise<unknown>, RegExp][] = [
    [() => assertRejects(boom, RangeError), /RangeError/],
    [() => assertRejects(boom, TypeError, "budget"), /to include/],
    [() => assertRejects(() => Promise.resolve(1), TypeError), /Expected function to reject/],
    [
      () =>
        assertRejects(() => {
          throw thrown;
        }),
      /throws when expected to reject/,
    ],
  ];
  for (const [assertion, message] of failing) {
    await rejects(assertion, (error: unknown) => {
      ok(error instanceof AssertionError);
      ok(message.test(error.message), error.message);
      return true;
    });
  }
});

Deno.test("assertIsError() takes a text or a pattern", () => {
  assertIsError(new RangeError("at most 8"), RangeError, /most \d/);
  fails(() => assertIsError("text"), "to be an Error object");
  fails(() => assertIsError(new Error("a"), Error, /b/), "to include /b/");
  deepEqual(new AssertionError("x").name, "AssertionError");
});
