import { assertAlmostEquals } from "@std/assert";
import { levelFor } from "../../policies/_level.ts";

Deno.test("levelFor() raises the level until all hold the total", () => {
  const [small, large] = [(level: number) => Math.min(level, 2), (level: number) => 3 * level];
  assertAlmostEquals(levelFor(4, (level) => small(level) + large(level)), 1);
  assertAlmostEquals(levelFor(14, (level) => small(level) + large(level)), 4);
});
