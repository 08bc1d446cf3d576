import { assert, assertEquals, assertMatch } from "@std/assert";
import { writeFolder, writeGguf } from "../_random_checkpoint.ts";
import { fixture } from "../_test_model.ts";
import { callCli } from "./_call_cli.ts";
import { testFolder } from "./_run_cli.ts";

Deno.test("kvjudge inspect shows architecture, types, sizes and what runs of a GGUF file", async () => {
  const path = fixture("gguf/tiny-q4_k_m.gguf");
  const { code, out, err } = await callCli(["inspect", path]);
  assertEquals([code, err], [0, ""]);
  for (
    const row of [
      "architecture +llama",
      "size +122 KiB, 11 tensors, 166656 parameters",
      "Q4_K +4 tensors, 57344 parameters, 31.5 KiB",
      "runs +yes",
      "attention +2 heads of 32 over 1 KV head",
      "cache +256 B per token",
      "precision +int4 by default",
      "Q6_K +2 matrices: rounded to 8 bits, a scale for 32 columns",
      "Q4_K +4 matrices: taken over in 4 bits, unrounded",
      "Q5_0 +2 matrices: taken over in 8 bits, unrounded",
      "text +yes",
      "chat +yes",
    ]
  ) {
    assertMatch(out, new RegExp(`^ +${row}$`, "m"));
  }
  const json = JSON.parse((await callCli(["inspect", path, "--json"])).out);
  assertEquals(
    [json.kind, json.format, json.runs, json.precision, json.config.layers, json.text.chatTemplate],
    ["model", "gguf", true, "int4", 1, true],
  );
});

Deno.test("kvjudge inspect says why a file would not run, and still what it holds", async () => {
  using folder = testFolder();
  const path = `${folder.path}/x.gguf`;
  await writeGguf(path, {}, { metadata: { "general.architecture": "mamba\u001b[2J" } });
  const { code, out, err } = await callCli(["inspect", path]);
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^ {2}architecture {2}mamba\\u001b\[2J$/m);
  assertMatch(out, /^ {2}F32 +\d+ tensors, \d+ parameters/m);
  assertMatch(
    out,
    /^ {2}runs +no: .*its architecture \(mamba.*\) is not supported; supported are/m,
  );
});

Deno.test("kvjudge inspect reads folders, whole or in shards, and one file of weights", async () => {
  using folder = testFolder();
  await writeFolder(folder.path, { family: "qwen2" }, { dtype: "BF16", shards: 3 });
  const sharded = await callCli(["inspect", folder.path, "--json"]);
  const { architecture, format, runs, types, text } = JSON.parse(sharded.out);
  assertEquals([architecture, format, runs], ["Qwen2ForCausalLM", "safetensors", true]);
  assertEquals(types.map(({ type }: { type: string }) => type), ["BF16"]);
  assert(!text.runs && text.reason.includes("has no tokenizer.json"));

  await Deno.remove(`${folder.path}/model-00002-of-00003.safetensors`);
  const partial = JSON.parse((await callCli(["inspect", folder.path, "--json"])).out);
  assertEquals(partial.runs, false);
  assertMatch(partial.reason, /shard model-00002-of-00003\.safetensors .* is missing/);

  const file = await callCli(["inspect", fixture("tiny-llama/model.safetensors")]);
  assertMatch(file.out, /^ {2}runs +yes$/m);
});

Deno.test("kvjudge inspect refuses what it cannot list in one sentence", async () => {
  using folder = testFolder();
  const path = `${folder.path}/x.gguf`;
  await Deno.writeTextFile(path, "GGUF");
  for (
    const [source, message] of [
      [path, /^error: Cannot read .*x\.gguf as GGUF: .*the file ends at 4.*\n$/],
      [folder.path, /^error: Cannot inspect .*: it has no model\.safetensors.*\n$/],
      [
        `${folder.path}/none.gguf`,
        /^error: Cannot inspect ".*none\.gguf": there is no such file.*\n$/,
      ],
      [
        "qwen3-0.6b",
        /^error: Cannot inspect "qwen3-0\.6b": .* no model of that name was fetched; .*\n$/,
      ],
    ] as const
  ) {
    const env = { KVJUDGE_HOME: folder.path };
    const { code, out, err } = await callCli(["inspect", source], { env });
    assertEquals([code, out], [2, ""]);
    assertMatch(err, message);
  }
});
