import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { callCli } from "./_call_cli.ts";
import { testFolder, textModel } from "./_run_cli.ts";
import { fixture } from "../_test_model.ts";

Deno.test("kvjudge inspect shows what a saved cache holds, and whether it fits a model", async () => {
  using folder = testFolder();
  const model = await textModel(folder.path);
  const env = { KVJUDGE_HOME: folder.path };
  const [document, cache] = [`${folder.path}/document.txt`, `${folder.path}/a.cache`];
  await Deno.writeTextFile(document, "Mill Lane has twelve houses. ".repeat(9));
  const read = ["-m", model, "-f", document, "-p", "knorm", "-b", "20", "--save-cache", cache];
  assertEquals((await callCli(["generate", ...read], { env })).code, 0);
  const { code, out, err } = await callCli(["inspect", cache, "-m", model], { env });
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^.*a\.cache: a saved cache\n {2}size {9}[\d.]+ KiB\n/);
  assertMatch(out, /kept {9}20 of \d{2,} tokens on average, in 2 layers of 2 KV heads\n/);
  assertStringIncludes(out, "a document, ready for questions");
  assertStringIncludes(out, 'knorm, budget {"tokens":20}\n');
  assertStringIncludes(out, `fits         ${model}\n`);
  const json = await callCli(["inspect", cache, "--json", "-m", fixture("tiny-llama")], { env });
  const facts = JSON.parse(json.out);
  assertEquals([facts.kind, facts.holds, facts.fit.fits], ["saved cache", "document", false]);
  assertEquals(facts.kept, [[20, 20], [20, 20]]);
});

Deno.test("kvjudge inspect refuses a damaged saved cache in one sentence", async () => {
  using folder = testFolder();
  const { writeSafetensors } = await import("../../runtime/checkpoint/safetensors.ts");
  const path = `${folder.path}/a.cache`;
  const tensors = { x: { shape: [1], data: new Float32Array(1) } };
  await writeSafetensors(path, tensors, { format: "kvjudge.saved_cache", version: "1" });
  const { code, err } = await callCli(["inspect", path]);
  assertEquals(code, 2);
  assertMatch(
    err,
    /^error: Cannot load .*a\.cache: its record is broken: it is not JSON; [^\n]+\n$/,
  );
});
