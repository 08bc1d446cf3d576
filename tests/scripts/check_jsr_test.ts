import { assertEquals } from "@std/assert";
import { errorPlaces, main } from "../../scripts/check_jsr.ts";

Deno.test("errorPlaces() finds the file of each type error and nothing else", () => {
  const output = [
    "Check cli.ts",
    "TS2322 [ERROR]: Type 'string' is not assignable to type 'number'.",
    "    at file:///repo/cli.ts:3:7",
    "",
    "TS2532 [ERROR]: Object is possibly 'undefined'.",
    "    const at = place at file:///no/where.ts",
    "    at file:///checkouts/cliffy/table/table.ts:199:5",
  ].join("\n");
  assertEquals(errorPlaces(output), [
    "file:///repo/cli.ts",
    "file:///checkouts/cliffy/table/table.ts",
  ]);
});

Deno.test("main() exits with 2 when a checkout is missing", async () => {
  const folder = Deno.makeTempDirSync();
  const written: unknown[] = [];
  const { error } = console;
  console.error = (text: unknown) => written.push(text);
  try {
    assertEquals(await main(["--std", folder, "--cliffy", folder]), 2);
  } finally {
    console.error = error;
    Deno.removeSync(folder);
  }
  assertEquals(written, ["error: --std must be a folder with a checkout that has a deno.json"]);
});
