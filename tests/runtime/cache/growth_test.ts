import { assertEquals } from "@std/assert";
import { grownCapacity, GROWTH } from "../../../runtime/cache/growth.ts";

/** Capacities of a layer that grows from nothing until it has room for so many tokens. */
function capacities(tokens: number, share: number, least?: number): number[] {
  const found = [0];
  for (let last = 0; last < tokens;) {
    last = grownCapacity(last, share, least);
    found.push(last);
  }
  return found;
}

Deno.test("grownCapacity() begins with 16 tokens and grows by its share", () => {
  assertEquals(capacities(50, GROWTH.sliding), [0, 16, 24, 36, 54]);
  assertEquals(capacities(30, GROWTH.device), [0, 16, 20, 25, 32]);
  assertEquals(grownCapacity(4001, GROWTH.host), 4502);
});

Deno.test("grownCapacity() adds at least so many tokens, but no more than half of a small layer", () => {
  assertEquals(capacities(300, GROWTH.host, 64), [0, 16, 24, 36, 54, 81, 122, 183, 247, 311]);
  assertEquals(grownCapacity(512, GROWTH.host, 64), 576);
  assertEquals(grownCapacity(4096, GROWTH.host, 64), 4608);
});

Deno.test("a layer that grows token by token moves each entry a bounded number of times", () => {
  for (const share of Object.values(GROWTH)) {
    const moved = capacities(100_000, share).slice(0, -1).reduce((sum, one) => sum + one, 0);
    assertEquals(moved < 100_000 * (1 + 1 / share), true, `${share}`);
  }
});
