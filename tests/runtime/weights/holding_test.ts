import { assertEquals } from "@std/assert";
import type { TensorType } from "../../../runtime/checkpoint/checkpoint.ts";
import { holdingOf } from "../../../runtime/weights/holding.ts";

Deno.test("holdingOf() rounds only what the kernels cannot multiply", () => {
  const cases: readonly (readonly [TensorType, string, string, string])[] = [
    ["F32", "stored", "rounded8", "rounded8"],
    ["BF16", "stored", "rounded8", "rounded8"],
    ["Q8_0", "widened", "exact8", "exact8"],
    ["Q4_0", "widened", "rounded8", "exact4"],
    ["Q4_1", "widened", "rounded8", "exact4"],
    ["Q4_K", "widened", "rounded8", "exact4"],
    ["Q5_0", "widened", "exact8", "exact8"],
    ["Q5_1", "widened", "exact8", "exact8"],
    ["Q5_K", "widened", "exact8", "exact8"],
    ["IQ4_NL", "widened", "exact8", "exact8"],
    ["IQ4_XS", "widened", "exact8", "exact8"],
    ["Q2_K", "widened", "rounded8", "rounded8"],
    ["Q3_K", "widened", "rounded8", "rounded8"],
    ["Q6_K", "widened", "rounded8", "rounded8"],
  ];
  for (const [type, fp32, int8, int4] of cases) {
    const held = (["fp32", "int8", "int4"] as const)
      .map((precision) => holdingOf({ type }, precision));
    assertEquals(held, [fp32, int8, int4], type);
  }
});

Deno.test("holdingOf() rounds an embedding matrix of 4 bits or with minimums, whose rows are looked up", () => {
  for (const type of ["Q4_0", "Q4_1", "Q4_K", "Q5_1", "Q5_K"] as const) {
    assertEquals(holdingOf({ type }, "int4", true), "rounded8", type);
  }
  for (const type of ["Q8_0", "Q5_0", "IQ4_NL"] as const) {
    assertEquals(holdingOf({ type }, "int4", true), "exact8", type);
  }
});
