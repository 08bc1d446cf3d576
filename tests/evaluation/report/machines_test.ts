import { assertEquals, assertStringIncludes } from "@std/assert";
import { machineKinds, mixtureBlocks } from "../../../evaluation/report/machines.ts";
import type { MachineRecord, SampleRecord } from "../../../evaluation/run/record.ts";

const record = (id: string, machine?: MachineRecord): SampleRecord => ({
  ...{ id, task: "niah", variant: "short", promptHash: "", promptTokens: 9, facts: {}, prefill: 1 },
  cells: [],
  ...(machine ? { machine } : {}),
});

const large: MachineRecord = {
  processor: "large",
  precision: "int8",
  versions: { kvjudge: "1.0.0", deno: "2.9.6" },
};
const small = { ...large, processor: "small" };

Deno.test("machines of one kind are no mixture", () => {
  assertEquals(mixtureBlocks([record("a"), record("b")]), []);
  assertEquals(mixtureBlocks([record("a", large), record("b", { ...large })]), []);
  assertEquals(machineKinds([record("a")]), []);
});

Deno.test("a mixture is told with the samples of each kind, the busiest first", () => {
  const records = [record("a", small), record("b", large), record("c", large)];
  assertEquals(machineKinds(records), [
    ["large, int8, kvjudge 1.0.0, deno 2.9.6", 2],
    ["small, int8, kvjudge 1.0.0, deno 2.9.6", 1],
  ]);
  const [block] = mixtureBlocks(records);
  assertStringIncludes(JSON.stringify(block), "a mixture of 2 kinds of machines");
  assertStringIncludes(
    JSON.stringify(mixtureBlocks([record("a", small), record("b")])),
    "small, int8, kvjudge 1.0.0, deno 2.9.6 (1); the machine of the run itself (1)",
  );
});
