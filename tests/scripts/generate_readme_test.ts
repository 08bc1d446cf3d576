import { assertEquals, assertThrows } from "@std/assert";
import { registry } from "../../policies/registry.ts";
import { policyTable, withTable } from "../../scripts/generate_readme.ts";
import { source } from "../_source_tree.ts";

Deno.test("policyTable() pads its columns and links papers by their number", () => {
  const { knorm, random } = registry;
  const [head, rule, first, second] = policyTable([knorm, random]).split("\n");
  assertEquals(head?.split("|").map((cell) => cell.trim()), [
    "",
    "policy",
    "paper",
    "whose attention judges",
    "what it does",
    "",
  ]);
  assertEquals(/^[|\- ]+$/.test(rule ?? ""), true);
  const start = "| [`knorm`](docs/policies/knorm.md)   | [2406.11430](https://arxiv.org/abs/2406";
  assertEquals(first?.startsWith(start), true);
  assertEquals(new Set([head, rule, first, second].map((line) => line?.length)).size, 1);
});

Deno.test("withTable() replaces what stands between the marks and refuses a text without them", () => {
  const text = source("README.md");
  const replaced = withTable(text, "| new |\n");
  assertEquals(replaced.includes("| new |"), true);
  assertEquals(withTable(replaced, policyTable(Object.values(registry))), text);
  assertThrows(() => withTable("nothing", ""), Error, "README.md needs the lines");
});
