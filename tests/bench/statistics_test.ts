import { assertEquals } from "@std/assert";
import { summarise } from "../../bench/statistics.ts";

Deno.test("summarise takes the middle of an odd number of values", () => {
  assertEquals(summarise([9, 1, 4]), { median: 4, min: 1, max: 9 });
});

Deno.test("summarise takes the mean of the two middle values of an even number", () => {
  assertEquals(summarise([10, 1, 2, 4]), { median: 3, min: 1, max: 10 });
});
