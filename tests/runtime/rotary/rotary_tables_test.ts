import { assertEquals } from "@std/assert";
import { rotaryRows } from "../../../kernels/rope.ts";
import { rotaryFrequencies } from "../../../runtime/rotary/frequencies.ts";
import { rotaryTables } from "../../../runtime/rotary/rotary_tables.ts";
import { assertClose } from "../../_close.ts";

Deno.test("rotaryTables() gives a table for each of the model's ropes", () => {
  const ropes = [
    { theta: 1_000_000, scaling: { kind: "linear", factor: 8 } },
    { theta: 10_000, scaling: { kind: "none" } },
  ] as const;
  const config = { headDim: 8, ropes };
  const tables = rotaryTables(config, { sequence: 20, position: 15, tokens: 5 });
  assertEquals(tables.length, 2);
  for (const [rope, table] of tables.entries()) {
    assertEquals(table, rotaryRows(rotaryFrequencies(config, 20, rope), 15, 5));
  }
});

Deno.test("rotaryTables() multiplies LongRoPE's by its factor, short and long alike", () => {
  const scaling = {
    kind: "longrope",
    shortFactors: [1, 2],
    longFactors: [4, 8],
    originalContext: 10,
    attentionFactor: 1.5,
  } as const;
  const ropes = [{ theta: 100, scaling }];
  const first = (sequence: number) =>
    rotaryTables({ headDim: 4, ropes }, { sequence, position: 3, tokens: 1 })[0];
  // Frequencies 1 and 1/10, divided by the factors.
  const angles = { short: [3, 0.15], long: [0.75, 0.0375] };
  for (const [sequence, expected] of [[10, angles.short], [11, angles.long]] as const) {
    const table = first(sequence);
    assertClose(table?.cos ?? [], expected.map((angle) => 1.5 * Math.cos(angle)), {
      relative: 1e-6,
    });
    assertClose(table?.sin ?? [], expected.map((angle) => 1.5 * Math.sin(angle)), {
      relative: 1e-6,
    });
  }
});
