import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { batchOf } from "../../training/batches.ts";

const visits = (steps: number, batch: number, examples: number, seed = 0) =>
  Array.from({ length: steps }, (_, step) => batchOf(step, batch, examples, seed)).flat();

Deno.test("batchOf() visits every example once per epoch, each epoch in its own order", () => {
  for (const [batch, examples] of [[1, 7], [2, 8], [3, 7], [5, 3]] as const) {
    const all = visits(Math.ceil((4 * examples) / batch), batch, examples);
    const epochs = Array.from(
      { length: 4 },
      (_, epoch) => all.slice(epoch * examples, (epoch + 1) * examples),
    );
    for (const epoch of epochs) {
      assertEquals(epoch.toSorted((a, b) => a - b), Array.from({ length: examples }, (_, i) => i));
    }
    if (examples > 4) assertEquals(new Set(epochs.map((epoch) => epoch.join())).size, 4);
  }
});

Deno.test("batchOf() depends on step and seed alone", () => {
  assertEquals(batchOf(5, 3, 20, 1), batchOf(5, 3, 20, 1));
  assertNotEquals(visits(7, 3, 20, 1), visits(7, 3, 20, 2));
});

Deno.test("batchOf() puts no example at the same place again and again", () => {
  const first = Array.from({ length: 200 }, (_, epoch) => batchOf(10 * epoch, 1, 10, 3)[0]);
  for (let example = 0; example < 10; example++) {
    const count = first.filter((one) => one === example).length;
    assert(count > 5 && count < 40, `example ${example} comes first in ${count} of 200 epochs`);
  }
});
