import { assertEquals } from "@std/assert";
import { greedyToken } from "../../../runtime/sampling/greedy.ts";

Deno.test("greedyToken() takes the highest logit, the lower id of equals", () => {
  assertEquals(greedyToken(Float32Array.of(1, 5, 5, 2)), 1);
  assertEquals(greedyToken(Float32Array.of(-3, -2)), 1);
});

Deno.test("greedyToken() passes over forbidden tokens and what is not a number", () => {
  assertEquals(greedyToken(Float32Array.of(-Infinity, -9)), 1);
  assertEquals(greedyToken(Float32Array.of(NaN, 1, 2)), 2);
});
