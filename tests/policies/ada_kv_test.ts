import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { adaKv } from "../../policies/ada_kv.ts";
import { OptionError } from "../../policies/policy.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { readTensor } from "../../runtime/checkpoint/safetensors.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { fixture } from "../_test_model.ts";
import { goldenLayers } from "./_golden.ts";

Deno.test("adaKv() keeps what the goldens keep, other numbers in each head", async () => {
  const policy = adaKv({ inner: snapKv({ window: 8, kernel: 5, pooling: "avg" }), alpha: 0.2 });
  let ragged = 0;
  for (const { model, layer, view, keep } of await goldenLayers(policy)) {
    const path = fixture(`${model}/golden.safetensors`);
    const mask = Array.from(readTensor(path, `adakv_snapkv.kept_mask.${layer}`).data, Number);
    const kept = await selectKept(policy, view, keep);
    const expected = kept.map((_, head) =>
      Int32Array.from(
        mask.slice(head * view.length, (head + 1) * view.length)
          .flatMap((one, index) => one === 1 ? [index] : []),
      )
    );
    assertEquals(kept, expected, `${model}, layer ${layer}`);
    if (new Set(kept.map(({ length }) => length)).size > 1) ragged++;
  }
  assert(ragged > 3, `${ragged} layers are ragged`);
});

Deno.test("adaKv() gives out exactly the budget, the safe part to each head", () => {
  const head = fc.float32Array({ minLength: 1, maxLength: 30, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(head, { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 30 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (scores, keep, alpha) => {
        const counts = adaKv({ alpha }).allocateHeads?.({ scores, keep });
        assert(Array.isArray(counts));
        const held = scores.reduce((sum, { length }) => sum + length, 0);
        const total = counts.reduce((sum: number, count: number) => sum + count, 0);
        assertEquals(total, Math.max(Math.min(held, keep * scores.length), scores.length));
        for (const [at, count] of counts.entries()) {
          const length = scores[at]?.length ?? 0;
          assert(
            count <= length && count >= Math.min(length, Math.max(1, Math.floor(alpha * keep))),
          );
        }
      },
    ),
    { seed: 11, numRuns: 300 },
  );
});

Deno.test("adaKv() refuses itself inside, and options out of range", () => {
  assertThrows(() => adaKv({ inner: adaKv() }), OptionError, "Cannot wrap 'ada_kv' in 'ada_kv'");
  for (const alpha of [-0.1, 1.1, NaN]) {
    assertThrows(() => adaKv({ alpha }), OptionError, "'alpha' must be a number from 0 to 1");
  }
});
