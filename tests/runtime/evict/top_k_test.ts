import { assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { topK } from "../../../runtime/evict/top_k.ts";

/** The definition: a stable sort, then the first ones in order of index. */
function sorted(scores: Float32Array, count: number): Int32Array {
  const order = Array.from(scores.keys())
    .sort((a, b) => (scores[b] ?? NaN) - (scores[a] ?? NaN) || a - b);
  return Int32Array.from(order.slice(0, count)).sort();
}

const float = fc.float({ noNaN: true, noDefaultInfinity: true });
const cases = (value: fc.Arbitrary<number>) =>
  fc.array(value, { minLength: 1, maxLength: 300 }).chain((values) =>
    fc.tuple(fc.constant(new Float32Array(values)), fc.integer({ min: 0, max: values.length }))
  );

Deno.test("topK() gives the highest scores, ties toward the lower index", () => {
  fc.assert(fc.property(cases(float), ([scores, count]) => {
    assertEquals(topK(scores, count), sorted(scores, count));
  }));
});

Deno.test("topK() breaks ties toward the lower index where scores repeat", () => {
  const few = fc.constantFrom(-2, -1, -1e-45, 0, 1e-45, 1, 2);
  fc.assert(fc.property(cases(few), ([scores, count]) => {
    assertEquals(topK(scores, count), sorted(scores, count));
  }));
  assertEquals(topK(new Float32Array([1, 1, 1, 1]), 2), new Int32Array([0, 1]));
});

Deno.test("topK() takes 0 and -0 as tied", () => {
  assertEquals(topK(new Float32Array([-0, 0, -0, -1]), 2), new Int32Array([0, 1]));
  assertEquals(topK(new Float32Array([-1, -0, 0]), 1), new Int32Array([1]));
});

Deno.test("topK() orders infinities", () => {
  const scores = new Float32Array([0, Infinity, -Infinity, 3e38, Infinity]);
  assertEquals(topK(scores, 2), new Int32Array([1, 4]));
  assertEquals(topK(scores, 4), new Int32Array([0, 1, 3, 4]));
});

Deno.test("topK() leaves the scores alone", () => {
  const scores = new Float32Array([3, 1, 2]);
  topK(scores, 1);
  assertEquals(scores, new Float32Array([3, 1, 2]));
});

Deno.test("topK() reads a part of a larger array", () => {
  const scores = new Float32Array([9, 1, 3, 2, 9]).subarray(1, 4);
  assertEquals(topK(scores, 2), new Int32Array([1, 2]));
});
