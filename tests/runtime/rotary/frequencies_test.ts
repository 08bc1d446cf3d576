import { assert, assertEquals } from "@std/assert";
import type { RopeScaling } from "../../../runtime/checkpoint/checkpoint.ts";
import { rotaryFrequencies } from "../../../runtime/rotary/frequencies.ts";
import { assertClose } from "../../_close.ts";
import { inverseFrequencies } from "../../_reference_model.ts";

function config(scaling: RopeScaling, headDim = 16, theta = 10_000) {
  return { headDim, ropes: [{ theta, scaling }] };
}

const NONE = { kind: "none" } as const;
const DYNAMIC = { kind: "dynamic", factor: 4, originalContext: 16 } as const;

Deno.test("rotaryFrequencies() of head size 4 are 1 and one over the root of the base", () => {
  assertClose(rotaryFrequencies(config(NONE, 4, 100), 5), [1, 0.1], { relative: 1e-7 });
});

Deno.test("rotaryFrequencies() agrees with the reference for every scaling", () => {
  const scalings: RopeScaling[] = [
    NONE,
    { kind: "linear", factor: 2.5 },
    DYNAMIC,
    {
      kind: "llama3",
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalContext: 32,
    },
    { kind: "factors", factors: [1, 1, 1.5, 2, 3, 4, 6, 9] },
    {
      kind: "longrope",
      shortFactors: [1, 1, 1, 1.1, 1.2, 1.3, 1.4, 2],
      longFactors: [1, 2, 3, 4, 5, 6, 7, 8],
      originalContext: 16,
      attentionFactor: 1.1,
    },
  ];
  for (const scaling of scalings) {
    for (const sequence of [1, 16, 17, 200]) {
      const expected = inverseFrequencies(config(scaling), sequence);
      const actual = rotaryFrequencies(config(scaling), sequence);
      assertClose(actual, expected, { relative: 1e-6 }, `${scaling.kind}, ${sequence}`);
    }
  }
});

Deno.test("rotaryFrequencies() of dynamic scaling changes only beyond the original context", () => {
  const plain = rotaryFrequencies(config(NONE), 1);
  assertEquals(rotaryFrequencies(config(DYNAMIC), 16), plain);
  const longer = rotaryFrequencies(config(DYNAMIC), 17);
  assertEquals(longer[0], 1);
  assert((longer[7] ?? NaN) < (plain[7] ?? NaN));
  assert((rotaryFrequencies(config(DYNAMIC), 40)[7] ?? NaN) < (longer[7] ?? NaN));
});

Deno.test("rotaryFrequencies() of llama3 keeps high frequencies and divides low ones", () => {
  const scaling = {
    kind: "llama3",
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContext: 8192,
  } as const;
  const plain = rotaryFrequencies(config(NONE, 128, 500_000), 1);
  const scaled = rotaryFrequencies(config(scaling, 128, 500_000), 1);
  assertEquals(scaled[0], plain[0]);
  assertClose([scaled[63] ?? NaN], [(plain[63] ?? NaN) / 8], { relative: 1e-6 });
});
