import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { GeneratedTask } from "../../evaluation/benchmarks/benchmark.ts";
import { promptText } from "../../evaluation/benchmarks/benchmark.ts";
import { ROOT, source } from "../_source_tree.ts";
import { runCli, testFolder, textModel } from "../commands/_run_cli.ts";

const PAGE = source("docs/evaluation.md");

/** The page's benchmark, as if its files lay in the folders that it names. */
async function writeExample(folder: string): Promise<{ task: string; command: string }> {
  const [task = "", command = ""] = [...PAGE.matchAll(/^```ts ignore\n([\s\S]*?)^```$/gm)]
    .map(([, text]) => text ?? "");
  const paths = { task: `${folder}/ledger.ts`, command: `${folder}/command.ts` };
  const absolute = (text: string, place: string) =>
    text.replace(/"(\.\.?\/[^"]+\.ts)"/g, (_, path) => `"${new URL(path, new URL(place, ROOT))}"`);
  const own = new URL("evaluation/benchmarks/ledger/ledger.ts", ROOT).href;
  await Deno.writeTextFile(paths.task, absolute(task, "evaluation/benchmarks/ledger/"));
  await Deno.writeTextFile(
    paths.command,
    absolute(command, "commands/eval/").replace(own, new URL(paths.task, "file:///").href),
  );
  return paths;
}

Deno.test("evaluation.md: the benchmark of the page has its lengths, answers and seeds", async () => {
  using folder = testFolder();
  const { task: path } = await writeExample(folder.path);
  const { ledgerTask }: { ledgerTask: () => GeneratedTask } = await import(`file://${path}`);
  const countTokens = (text: string) => text.split(/\s+/).filter(Boolean).length;
  const make = () => [...ledgerTask().generate({ tokens: 400, samples: 5, seed: 3, countTokens })];
  const samples = make();
  assertEquals(make(), samples);
  assertEquals(samples.length, 5);
  for (const sample of samples) {
    const prompt = promptText(sample, "last");
    assert(countTokens(prompt) <= 400 && countTokens(prompt) >= 392);
    const account = /account (\d+) hold/.exec(sample.question)?.[1];
    const balance = new RegExp(`Account ${account} holds (\\d+) `).exec(prompt)?.[1];
    assertEquals(sample.answers, [balance ?? ""]);
  }
});

Deno.test("evaluation.md: the command of the page writes a run and its report", async () => {
  using folder = testFolder();
  const { command } = await writeExample(folder.path);
  const model = await textModel(folder.path, 2048);
  const out = `${folder.path}/run`;
  const program = `${folder.path}/main.ts`;
  const args = ["-m", model, "--precision", "fp32", "--lengths", "1400", "--samples", "1"]
    .concat(["-p", "streaming_llm", "-b", "16", "--out", out]);
  await Deno.writeTextFile(
    program,
    `import { ledgerCommand } from ${JSON.stringify(`file://${command}`)};
await ledgerCommand("0").parse(${JSON.stringify(args)});
`,
  );
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-all", "--config", `${ROOT.pathname}deno.json`, program],
    env: { KVJUDGE_HOME: folder.path },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  assertStringIncludes(Deno.readTextFileSync(`${out}/report.md`), "kvjudge eval ledger");
});

Deno.test("evaluation.md: every flag and every command of the page exists", async () => {
  using home = testFolder();
  const names = [...PAGE.matchAll(/^\| `([a-z_]+)` +\|/gm)].map(([, name]) => name ?? "");
  const commands = names.filter((name) => name !== "compare").slice(0, 9);
  assertEquals(new Set(commands).size, 9);
  const help = await Promise.all(
    commands.map((name) => runCli(["eval", name, "--help"], { env: { KVJUDGE_HOME: home.path } })),
  );
  for (const { code, err } of help) assertEquals(code, 0, err);
  const all = help.map(({ out }) => out).join("\n");
  const flags = new Set(
    PAGE.replace(/^```ts[\s\S]*?^```$/gm, "").match(/--[a-z][a-z-]+/g)
      ?.filter((flag) => !["--policy", "--against"].includes(flag)),
  );
  assert(flags.size > 15);
  for (const flag of flags) assertStringIncludes(all, flag);
});
