import { assertEquals } from "@std/assert";
import { defined } from "../../commands/_defined.ts";
import { formatBytes } from "../../commands/_output.ts";
import { openProgress } from "../../commands/_progress.ts";

Deno.test("formatBytes() uses binary units with at most one decimal", () => {
  const shown: [number, string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [98_362_432, "93.8 MiB"],
    [2 ** 30 * 200, "200 GiB"],
    [2 ** 50, "1048576 GiB"],
  ];
  for (const [bytes, text] of shown) assertEquals(formatBytes(bytes), text);
});

Deno.test("defined() leaves out undefined values and nothing else", () => {
  assertEquals(defined({ a: undefined, b: 0, c: "", d: false }), { b: 0, c: "", d: false });
});

Deno.test("openProgress() says nothing where standard error is no terminal", async () => {
  const { writeSync } = Deno.stderr;
  let written = 0;
  Deno.stderr.writeSync = (bytes) => written += bytes.length;
  try {
    using progress = await openProgress(false);
    progress.fetching({ file: "a", received: 1, total: 2, phase: "hub" });
    progress.reading(1, 2);
    progress.clear();
  } finally {
    Deno.stderr.writeSync = writeSync;
  }
  assertEquals(written, 0);
});

Deno.test("openProgress() tells the licence of what is fetched, once, terminal or not", async () => {
  const { writeSync } = Deno.stderr;
  let written = "";
  Deno.stderr.writeSync = (bytes) => {
    written += new TextDecoder().decode(bytes);
    return bytes.length;
  };
  const licence = { name: "Terms", url: "https://example.com/terms" };
  try {
    using progress = await openProgress(false);
    for (const received of [0, 1, 2]) {
      progress.fetching({ file: "a", received, total: 2, phase: "hub", licence });
    }
  } finally {
    Deno.stderr.writeSync = writeSync;
  }
  assertEquals(
    written,
    "this model comes under the Terms (https://example.com/terms): whoever uses it accepts them\n",
  );
});
