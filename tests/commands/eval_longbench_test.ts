import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fixture } from "../_test_model.ts";
import { callCli } from "./_call_cli.ts";
import { testFolder, textModel } from "./_run_cli.ts";

interface Line {
  readonly id: string;
  readonly task: string;
  readonly variant: string;
}

function linesOf(folder: string): readonly Line[] {
  return Deno.readTextFileSync(`${folder}/samples.jsonl`).trim().split("\n")
    .map((line): Line => JSON.parse(line));
}

Deno.test("kvjudge eval longbench asks each task as it can be asked, and says which it leaves out", async () => {
  using home = testFolder();
  const out = `${home.path}/out`;
  const { code, err } = await callCli(
    ["eval", "longbench", "-m", await textModel(home.path, 2048), "--precision", "fp32"]
      .concat(["-p", "streaming_llm", "-b", "16", "--data", fixture("longbench")])
      .concat(["--tasks", "qmsum,trec,lcc", "--samples", "1", "--prompt-tokens", "200"])
      .concat(["--question", "both", "--visible-question", "both", "--out", out]),
    { env: { KVJUDGE_HOME: home.path } },
  );
  assertEquals(code, 0, err);
  assertMatch(err, /question after eviction: without lcc, which/);
  assertMatch(err, /question first: without trec, lcc, which/);
  const asked = linesOf(out).map(({ task, variant }) => `${task}, ${variant}`);
  assertEquals(asked.sort(), [
    "lcc, question last",
    "qmsum, question after eviction",
    "qmsum, question first",
    "qmsum, question last",
    "trec, question after eviction",
    "trec, question last",
  ]);
  const { options } = JSON.parse(Deno.readTextFileSync(`${out}/settings.json`));
  assertEquals(Object.keys(options.files), ["qmsum", "trec", "lcc"]);
  assertMatch(options.files.lcc[0], /^[0-9a-f]{64}$/);
});

Deno.test("kvjudge eval longbench --even-lengths takes as many samples of each length", async () => {
  using home = testFolder();
  const lines = [100, 200, 5000, 9000, 300].map((length) =>
    JSON.stringify({ input: "Why?", context: "So it is.", answers: ["so"], length })
  );
  await Deno.writeTextFile(`${home.path}/qasper_e.jsonl`, lines.join("\n"));
  const out = `${home.path}/out`;
  const flags = ["eval", "longbench", "-m", await textModel(home.path, 2048), "--precision", "fp32"]
    .concat(["-p", "streaming_llm", "-b", "16", "--data", home.path]);
  const env = { KVJUDGE_HOME: home.path };
  const { code, err } = await callCli(
    [...flags, "--even-lengths", "--samples", "2", "--out", out],
    { env },
  );
  assertEquals(code, 0, err);
  assertEquals(linesOf(out).map(({ id, variant }) => [id.split(" ")[0], variant]), [
    ["qasper-0", "0-4k, question last"],
    ["qasper-1", "0-4k, question last"],
    ["qasper-2", "4-8k, question last"],
    ["qasper-3", "8k+, question last"],
  ]);
  const plain = await callCli(flags, { env });
  assertEquals(plain.code, 2);
  assertStringIncludes(plain.err, "there must be NAME.jsonl or NAME.parquet");
});

Deno.test("kvjudge eval longbench refuses tasks and questions that there are not", async () => {
  const data = ["eval", "longbench", "--data", fixture("longbench")];
  const first = await callCli([...data, "--tasks", "trec,lcc", "--question", "first"], {});
  assertEquals(first.code, 2);
  assertStringIncludes(first.err, "No task among trec, lcc can be asked with the question first");
  const other = await callCli([...data, "--tasks", "qsum"], {});
  assert(other.code === 2 && other.err.includes("qmsum"), other.err);
});
