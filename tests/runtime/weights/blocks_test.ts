import { assert, assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { quantiseBlocks } from "../../../runtime/weights/blocks.ts";
import { assertClose, noise } from "../../_close.ts";
import { unpack } from "./_unpack.ts";

Deno.test("quantiseBlocks() stays within one step and keeps zeros and fillers exact", () => {
  const columns = fc.integer({ min: 1, max: 70 });
  const rows = fc.integer({ min: 1, max: 4 });
  const numbers = fc.array(
    fc.oneof(fc.constant(0), fc.float({ min: -100, max: 100, noNaN: true })),
    { minLength: 4 * 70, maxLength: 4 * 70 },
  );
  const check = fc.property(rows, columns, numbers, (r, c, drawn) => {
    const data = Float32Array.from(drawn.slice(0, r * c));
    const blocks = quantiseBlocks(data, r, c);
    const padded = Math.ceil(c / 32) * 32;
    const back = unpack(blocks);
    assertEquals(back.length, r * padded);
    for (const [index, value] of back.entries()) {
      const [row, column] = [Math.floor(index / padded), index % padded];
      const wanted = column < c ? data[row * c + column] ?? NaN : 0;
      const step = blocks.scales[Math.floor(index / 32)] ?? NaN;
      if (wanted === 0) assertEquals(value, 0);
      // Scales below what float32 holds become 0.
      const bound = 1.01 * step + 1e-40;
      assert(Math.abs(value - wanted) <= bound, `${value}, expected ${wanted}, step ${step}`);
    }
  });
  fc.assert(check, { seed: 3, numRuns: 60 });
});

Deno.test("quantiseBlocks() rounds to half a step of a 255th of the range, nearly always", () => {
  const data = noise(64 * 96, 1);
  const back = unpack(quantiseBlocks(data, 64, 96));
  // Noise from -1 to 1: a step is 2 / 255 at most.
  const far = back.filter((value, index) => Math.abs(value - (data[index] ?? NaN)) > 1.01 / 255);
  assert(far.length < 20, `${far.length} numbers are further off`);
});

Deno.test("quantiseBlocks() of one sign and of equal numbers works", () => {
  const data = new Float32Array(96);
  data.fill(5, 0, 32);
  data.fill(-3, 32, 64);
  assertClose(unpack(quantiseBlocks(data, 1, 96)), data, { relative: 1e-6 });
});
