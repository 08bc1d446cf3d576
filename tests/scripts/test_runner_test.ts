import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { coresIn, ownCores } from "../../scripts/test/cores.ts";
import { divide, fastFiles } from "../../scripts/test/shards.ts";
import { add, NONE, readCounts, summaryLine, worthShowing } from "../../scripts/test/summary.ts";
import { ROOT } from "../_source_tree.ts";
import { testFolder } from "../commands/_run_cli.ts";

function testFiles(folder: string): string[] {
  return Array.from(Deno.readDirSync(new URL(folder, ROOT))).flatMap(({ name, isDirectory }) =>
    isDirectory
      ? testFiles(`${folder}${name}/`)
      : name.endsWith("_test.ts")
      ? [`${folder}${name}`]
      : []
  );
}

const files = testFiles("tests/");

Deno.test("divide() puts every test file into exactly one shard", () => {
  const shards = divide(files);
  assertEquals(shards.flatMap((shard) => shard.files).toSorted(), files.toSorted());
  for (const { name, files } of shards) assert(files.length > 0, name);
});

Deno.test("divide() names only files and folders that are there", () => {
  // A name with no files gives no shard, so that those above would not notice.
  const names = divide(files).map(({ name }) => name);
  for (const name of ["tests/device/", "tests/runtime/smollm2_test.ts", "tests/runtime/"]) {
    assert(names.includes(name), name);
  }
});

Deno.test("coresIn() reads the cores of a process, and ownCores() finds as many as it can run on", async () => {
  assertEquals(coresIn("pid 7's current affinity list: 0-2,5\n"), [0, 1, 2, 5]);
  assertEquals(coresIn("pid 7's current affinity list: 3\n"), [3]);
  assertEquals(coresIn("taskset: no such process"), []);
  const cores = await ownCores();
  assert(cores.length === 0 || cores.length >= navigator.hardwareConcurrency, `${cores}`);
});

Deno.test("fastFiles() leaves out devices, commands and the real model, and keeps most", () => {
  const fast = fastFiles(files);
  assert(fast.length > files.length / 2, `${fast.length} of ${files.length}`);
  assertEquals(fast.filter((file) => /tests\/(device|commands)\/|smollm2/.test(file)), []);
});

Deno.test("readCounts() reads the last summary, whole or short", () => {
  const said =
    "ok | 1 passed | 0 failed (1ms)\nFAILED | 12 passed (3 steps) | 1 failed (2 steps) " +
    "| 2 ignored (1m3s)\n\nerror: Test failed";
  assertEquals(readCounts(said), { passed: 12, steps: 3, failed: 1, ignored: 2 });
  assertEquals(readCounts("ok | 5 passed | 0 failed (9ms)\n"), { ...NONE, passed: 5 });
  assertEquals(readCounts("Segmentation fault"), undefined);
});

Deno.test("summaryLine() writes what readCounts() reads", () => {
  const counts = add({ passed: 3, steps: 1, failed: 0, ignored: 1 }, { ...NONE, failed: 2 });
  const line = summaryLine(counts, 62_400);
  assertEquals(line, "FAILED | 3 passed (1 steps) | 2 failed | 1 ignored (1m2s)");
  assertEquals(readCounts(line), counts);
});

Deno.test("worthShowing() shows errors whole, a crash whole, and the names of what was skipped", () => {
  const failed = "a ... ok (1ms)\nb ... FAILED (2ms)\n\n ERRORS \n\nb => x.ts:1:1\nerror: no\n";
  assertEquals(worthShowing(failed, true), " ERRORS \n\nb => x.ts:1:1\nerror: no\n");
  assertEquals(worthShowing("a ... ok\nkilled", true), "a ... ok\nkilled");
  assertEquals(worthShowing("a ... ok (1ms)\nb ... ignored (0ms)\n", false), "b ... ignored (0ms)");
});

Deno.test("scripts/test.ts runs what it is given, shows errors and sums up", async () => {
  using folder = testFolder();
  const write = (name: string, code: string) =>
    Deno.writeTextFileSync(`${folder.path}/${name}_test.ts`, code);
  write("passes", `Deno.test("yes", () => {}); Deno.test.ignore("later", () => {});\n`);
  write("fails", `Deno.test("no", () => { throw "up"; });\n`);
  write("crashes", "Deno.exit(7);\n");
  const run = async (name: string) => {
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-read", "--allow-write", "--allow-run", "scripts/test.ts"]
        .concat(["--folder", folder.path, `${folder.path}/${name}`]),
      cwd: ROOT,
      stdout: "piped",
      stderr: "piped",
    }).output();
    return { code, said: new TextDecoder().decode(stdout) };
  };
  const passing = await run("passes");
  assertEquals(passing.code, 0, passing.said);
  assertEquals(readCounts(passing.said), { ...NONE, passed: 1, ignored: 1 });
  assertStringIncludes(passing.said, "later ... ignored");
  const failing = await run("fails");
  assertEquals([failing.code, readCounts(failing.said)], [1, { ...NONE, failed: 1 }]);
  assertMatch(failing.said, /ERRORS[^]*no => [^]*error: "up"/);
  const crashing = await run("crashes");
  assertEquals([crashing.code, readCounts(crashing.said)], [1, { ...NONE, failed: 1 }]);
  assertEquals((await run("none")).code, 1);
});
