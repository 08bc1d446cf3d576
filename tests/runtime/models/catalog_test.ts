import { assert, assertEquals } from "@std/assert";
import { CATALOG } from "../../../runtime/models/catalog.ts";
import {
  formatModelReference,
  parseModelReference,
} from "../../../runtime/models/model_reference.ts";

Deno.test("CATALOG has one lower-case name per model", () => {
  const names = CATALOG.map(({ name }) => name);
  assertEquals(names, names.map((name) => name.toLowerCase()));
  assertEquals(new Set(names).size, names.length);
});

Deno.test("CATALOG has addresses that can be read, and pins files by checksum, with parts that add up", () => {
  for (const { hub, pinned, name } of CATALOG) {
    assertEquals(parseModelReference(formatModelReference(hub)), hub, name);
    if (pinned === undefined) continue;
    assert(/^([0-9a-f]{40}|main)$/.test(hub.revision), name);
    assert(/^[0-9a-f]{64}$/.test(pinned.sha256), name);
    const parts = pinned.packages ?? [];
    assertEquals(parts.reduce((sum, { bytes }) => sum + bytes, 0), pinned.bytes, name);
    assertEquals(hub.file, pinned.name);
  }
});
