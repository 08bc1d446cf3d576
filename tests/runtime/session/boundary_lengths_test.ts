import { assert, assertEquals } from "@std/assert";
import { h2o } from "../../../policies/h2o.ts";
import type { Policy } from "../../../policies/policy.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { randomIds, randomTestModel, type TestModel } from "../../_test_model.ts";

/** One below, at and one above chunks, windows, blocks of 16 and 32, and steps of the cache. */
const SHORT = [16, 32, 256].flatMap((size) => [size - 1, size, size + 1]);

/** How far logits of two chunk sizes may be apart. */
const TOLERANCE = 1e-4;

async function compare(
  { model }: TestModel,
  policy: Policy,
  lengths: readonly number[],
  [small, large]: readonly [number, number],
): Promise<void> {
  const ids = randomIds(Math.max(...lengths), model.config.vocabulary);
  const read = async (chunk: number, length: number) => {
    const budget = { ratio: 0.5 };
    await using session = model.session({ policy, budget, chunk });
    const { kept, logits } = await session.read({ ids: ids.slice(0, length) });
    const { logits: next } = await session.append({ ids: ids.slice(0, 17) });
    return { kept, logits, next };
  };
  for (const length of lengths) {
    const [first, second] = [await read(small, length), await read(large, length)];
    assertEquals(first.kept, second.kept, `${policy.name} of ${length}`);
    for (const name of ["logits", "next"] as const) {
      const apart = first[name].map((value, at) => Math.abs(value - (second[name][at] ?? NaN)));
      assert(Math.max(...apart) < TOLERANCE, `${name} of ${length}: ${Math.max(...apart)}`);
    }
  }
}

for (
  const [kind, model, far] of [
    [
      "every layer global",
      { family: "llama" },
      { wide: {}, lengths: [4095, 4096, 4097], chunks: [1024, 4096] },
    ],
    [
      "layers that slide",
      { family: "gemma3", window: 32, globalEvery: 2 },
      // The window of Gemma 3 270M, and twice that.
      { wide: { window: 512 }, lengths: [511, 512, 513, 1023, 1024, 1025], chunks: [100, 512] },
    ],
  ] as const
) {
  Deno.test(`lengths around every boundary are read alike in chunks of any size: ${kind}`, async () => {
    const sizes = { layers: 2, hidden: 32, vocabulary: 5000, context: 8192 };
    await using test = await randomTestModel({ ...sizes, ...model });
    for (const policy of [snapKv({ window: 16, kernel: 3 }), h2o({ recent: 8 })]) {
      await compare(test, policy, SHORT, [16, 512]);
    }
    await using wide = await randomTestModel({ ...sizes, ...model, ...far.wide });
    await compare(wide, snapKv({ window: 32 }), far.lengths, far.chunks);
  });
}
