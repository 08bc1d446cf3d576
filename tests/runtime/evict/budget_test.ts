import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import {
  checkBudget,
  keepCount,
  parseBudget,
  type UniformBudget,
} from "../../../runtime/evict/budget.ts";
import { BudgetError } from "../../../runtime/errors.ts";

/** A token takes 2 × 3 × (8 + 8 + 1) × 4 = 408 bytes. */
const shape = { layers: 2, kvHeads: 3, headDim: 8 };
const TOKEN_BYTES = 408;

Deno.test("keepCount() rounds as people reckon, whatever floats do", () => {
  for (
    const [length, ratio, kept] of [
      [10, 0.1, 1],
      [10, 1 - 0.9, 1],
      [100, 1 - 0.8, 20],
      [100, 0.29, 29],
      [10, 0.1 * 3, 3],
      [1000, 0.1 * 3, 300],
      [96, 0.25, 24],
      [15, 0.1, 1],
      [19, 0.1, 1],
      [3, 0.1, 1],
      [1_000_000, 0.000_001, 1],
    ] as const
  ) {
    assertEquals(keepCount(length, ratio, shape), kept, `${ratio} of ${length}`);
    assertEquals(keepCount(length, { ratio }, shape), kept);
  }
});

Deno.test("keepCount() takes numbers from 1 as tokens and below as ratios", () => {
  assertEquals(keepCount(100, 1, shape), 1);
  assertEquals(keepCount(100, 0.99, shape), 99);
  assertEquals(keepCount(100, { ratio: 1 }, shape), 100);
  assertEquals(keepCount(100, { tokens: 7 }, shape), 7);
});

Deno.test("keepCount() never keeps more than there is", () => {
  for (const budget of [100, 101, 1e9, { ratio: 1 }, { bytes: 1e12 }] as const) {
    assertEquals(keepCount(100, budget, shape), 100);
  }
});

Deno.test("keepCount() counts keys, values and positions of all layers as bytes", () => {
  assertEquals(keepCount(100, { bytes: TOKEN_BYTES }, shape), 1);
  assertEquals(keepCount(100, { bytes: 10 * TOKEN_BYTES - 1 }, shape), 9);
  assertEquals(keepCount(100, { bytes: 10 * TOKEN_BYTES }, shape), 10);
  assertEquals(keepCount(100, { bytes: 10 * TOKEN_BYTES }, { ...shape, layers: 1 }), 20);
});

Deno.test("keepCount() refuses bytes that hold no token", () => {
  assertThrows(
    () => keepCount(100, { bytes: TOKEN_BYTES - 1 }, shape),
    BudgetError,
    "Cannot evict to a budget of 407 bytes: one token per KV head takes 408 bytes in 2 layers",
  );
});

Deno.test("keepCount() keeps floor(length × n / d) for every ratio n / d, and at least 1", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 200_000 }),
    fc.integer({ min: 1, max: 1000 }),
    fc.integer({ min: 1, max: 1000 }),
    (length, a, b) => {
      const [numerator, denominator] = a < b ? [a, b] : [b, a];
      const exact = Number(BigInt(length) * BigInt(numerator) / BigInt(denominator));
      const ratio = numerator / denominator;
      assertEquals(keepCount(length, { ratio }, shape), Math.max(1, exact));
    },
  ));
});

Deno.test("keepCount() never falls when the budget or the length grows", () => {
  const budget = fc.oneof(
    fc.integer({ min: 1, max: 5000 }).map((tokens): UniformBudget => ({ tokens })),
    fc.double({ min: 0.0001, max: 1, noNaN: true }).map((ratio): UniformBudget => ({ ratio })),
    fc.integer({ min: TOKEN_BYTES, max: 1e6 }).map((bytes): UniformBudget => ({ bytes })),
  );
  fc.assert(fc.property(budget, fc.integer({ min: 1, max: 4000 }), (given, length) => {
    const kept = keepCount(length, given, shape);
    assert(Number.isInteger(kept) && kept >= 1 && kept <= length);
    assert(keepCount(length + 1, given, shape) >= kept);
  }));
});

Deno.test("keepCount() and checkBudget() refuse what is out of range, with bound and value", () => {
  for (
    const [budget, message] of [
      [0, "Cannot use 0 tokens as a budget: tokens must be an integer of at least 1; give tokens"],
      [-5, "Cannot use -5 tokens as a budget"],
      [-0.5, "Cannot use -0.5 tokens as a budget"],
      [1.5, "Cannot use 1.5 tokens as a budget"],
      [NaN, "Cannot use NaN tokens as a budget"],
      [Infinity, "Cannot use Infinity tokens as a budget"],
      [{ tokens: 0.5 }, "Cannot use 0.5 tokens as a budget"],
      [{ ratio: 0 }, "Cannot use a ratio of 0 as a budget: a ratio kept must be above 0 and at"],
      [{ ratio: 1.01 }, "Cannot use a ratio of 1.01 as a budget"],
      [{ ratio: NaN }, "Cannot use a ratio of NaN as a budget"],
      [{ bytes: 0 }, "Cannot use 0 bytes as a budget: bytes must be an integer of at least 1"],
      [{ bytes: 1.5 }, "Cannot use 1.5 bytes as a budget"],
    ] as const
  ) {
    assertThrows(() => checkBudget(budget), BudgetError, message);
    assertThrows(() => keepCount(100, budget, shape), BudgetError, message);
  }
});

Deno.test("checkBudget() refuses what is no budget at all", () => {
  for (
    const [budget, shown] of [
      [{}, "{}"],
      [{ tokens: 5, ratio: 0.5 }, '{"tokens":5,"ratio":0.5}'],
      [{ token: 5 }, '{"token":5}'],
      [{ tokens: "5" }, '{"tokens":"5"}'],
      [null, "null"],
      [undefined, "undefined"],
      [[[5]], "[5]"],
    ] as const
  ) {
    assertThrows(
      () => Reflect.apply(checkBudget, undefined, [budget]),
      BudgetError,
      `Cannot use ${shown} as a budget: it must have one number: tokens, ratio or bytes`,
    );
  }
  for (const text of ["256", "8MiB", ""]) {
    assertThrows(
      () => Reflect.apply(checkBudget, undefined, [text]),
      BudgetError,
      `Cannot use ${JSON.stringify(text)} as a budget: a text is read by parseBudget() first`,
    );
  }
  assertThrows(() => checkBudget([]), BudgetError, "an empty list of layers");
  assertThrows(() => checkBudget([5, 0]), BudgetError, "Cannot use 0 tokens as a budget");
});

Deno.test("parseBudget() reads tokens, ratios and bytes", () => {
  for (
    const [text, budget] of [
      ["256", { tokens: 256 }],
      [" 1 ", { tokens: 1 }],
      ["0.1", { ratio: 0.1 }],
      [".5", { ratio: 0.5 }],
      ["1.0", { ratio: 1 }],
      ["10%", { ratio: 0.1 }],
      ["12.5 %", { ratio: 0.125 }],
      ["100%", { ratio: 1 }],
      ["8MiB", { bytes: 8_388_608 }],
      ["8MB", { bytes: 8_000_000 }],
      ["512KiB", { bytes: 524_288 }],
      ["512 kib", { bytes: 524_288 }],
      ["1.5GiB", { bytes: 1_610_612_736 }],
      ["2GB", { bytes: 2_000_000_000 }],
      ["3kB", { bytes: 3000 }],
      ["408B", { bytes: 408 }],
    ] as const
  ) {
    assertEquals<UniformBudget>(parseBudget(text), budget, text);
  }
});

Deno.test("parseBudget() refuses everything else", () => {
  for (
    const [text, message] of [
      ["", 'Cannot use "" as a budget: it is not a number'],
      ["half", 'Cannot use "half" as a budget: it is not a number'],
      ["1e3", 'Cannot use "1e3" as a budget: it is not a number'],
      ["0x10", 'Cannot use "0x10" as a budget: it is not a number'],
      ["NaN", 'Cannot use "NaN" as a budget: it is not a number'],
      ["Infinity", 'Cannot use "Infinity" as a budget: it is not a number'],
      ["10 tokens", "its unit must be %, B, KB, MB, GB, KiB, MiB or GiB"],
      ["0", "Cannot use 0 tokens as a budget"],
      ["-5", "Cannot use -5 tokens as a budget"],
      ["1.5", "Cannot use a ratio of 1.5 as a budget"],
      ["0.0", "Cannot use a ratio of 0 as a budget"],
      ["0%", "Cannot use a ratio of 0 as a budget"],
      ["101%", "Cannot use a ratio of 1.01 as a budget"],
      ["0MiB", "Cannot use 0 bytes as a budget"],
      ["-1MiB", "Cannot use -1048576 bytes as a budget"],
    ] as const
  ) {
    assertThrows(() => parseBudget(text), BudgetError, message);
  }
});

Deno.test("keepCount() gives bytes to the global layers when the windows of the others have theirs", () => {
  // Beside two global layers, three that take memory for 20, 20 and 50 tokens: 204 bytes each.
  const mixed = { ...shape, sliding: [20, 20, 50] };
  const windows = (20 + 20 + 50) * 204;
  assertEquals(keepCount(1000, { bytes: windows + 7 * TOKEN_BYTES }, mixed), 7);
  // A short text fills no window.
  assertEquals(keepCount(10, { bytes: 3 * 10 * 204 + 4 * TOKEN_BYTES }, mixed), 4);
  assertEquals(keepCount(1000, 0.25, mixed), 250);
  assertEquals(keepCount(1000, 64, mixed), 64);
  assertThrows(
    () => keepCount(1000, { bytes: windows }, mixed),
    BudgetError,
    `Cannot evict to a budget of ${windows} bytes: one token per KV head takes 408 bytes in 2 global ` +
      `layers, and the windows of 3 others take ${windows}; give at least ${windows + 408}`,
  );
});
