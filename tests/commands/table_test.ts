import { assertEquals } from "@std/assert";
import { fields, table } from "../../commands/_table.ts";

Deno.test("table() lines columns up by what a terminal shows, wide and coloured cells too", () => {
  assertEquals(table([]), "");
  assertEquals(
    table([["policy", "score"], ["中文政策", "9.5"], ["\x1b[31mred\x1b[39m", "100.0"], ["x"]]),
    "policy    score\n" +
      "中文政策    9.5\n" +
      "\x1b[31mred\x1b[39m       100.0\n" +
      "x\n",
  );
  assertEquals(
    table([["a", "of a"], ["long", "b"]], { left: [0, 1], indent: "  " }),
    "  a     of a\n  long  b\n",
  );
});

Deno.test("fields() shows a stranger's text without moving the cursor", () => {
  assertEquals(
    fields([["name", "a\x1b[2J"], ["b", "two\nlines"]]),
    [
      "  name  a\\u001b[2J\n",
      "  b     two\\nlines\n",
    ].join(""),
  );
});
