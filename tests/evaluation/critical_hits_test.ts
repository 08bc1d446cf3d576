import { assertAlmostEquals, assertEquals } from "@std/assert";
import { compareWithReference, localShare } from "../../evaluation/critical_hits.ts";

Deno.test("compareWithReference() averages over heads, ties going to the lower index", () => {
  const scores = new Float32Array([0.25, 0.25, 0.25, 0.25, 0, 0, 0.25, 0.75]);
  const kept = [new Int32Array([1, 3]), new Int32Array([0, 3])];
  const { hitRate, attentionMass, byHead } = compareWithReference(kept, scores, 2);
  assertEquals(hitRate, (0.5 + 0.5) / 2);
  assertEquals(byHead, [0.5, 0.5]);
  assertEquals(attentionMass, (0.5 + 0.75) / 2);
});

Deno.test("compareWithReference() measures against the budget where heads keep more or fewer", () => {
  const scores = new Float32Array([4, 3, 2, 1]);
  const all = compareWithReference([new Int32Array([0, 1, 2, 3])], scores, 2);
  assertEquals(all, { hitRate: 1, attentionMass: 1, byHead: [1] });
  const one = compareWithReference([new Int32Array([1])], scores, 2);
  assertEquals(one.hitRate, 0.5);
  assertAlmostEquals(one.attentionMass, 0.3, 1e-6);
});

Deno.test("localShare() is all of it for a short prompt and the mean over heads for a long one", () => {
  assertEquals(localShare(new Float32Array([1, 2]), 2), 1);
  const attention = new Float32Array(2 * 40);
  attention.fill(1, 0, 8);
  attention.fill(1, 40, 80);
  assertAlmostEquals(localShare(attention, 40), (0 + 32 / 40) / 2, 1e-6);
});
