import { assert, assertEquals } from "@std/assert";
import { ROOT, source } from "../_source_tree.ts";
import { runCli, testFolder, textModel } from "../commands/_run_cli.ts";
import { serveModules } from "../plugins/_serve.ts";
import { words } from "./_command_lines.ts";

const PAGE = source("docs/write_a_policy.md");

/** Blocks of one language, without their fences. */
function blocks(language: string): readonly string[] {
  return [...PAGE.matchAll(/^```(\S+).*\n([\s\S]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , text]) => text ?? "");
}

/** Files of the page by name: each begins with a comment that names it. */
const files = new Map(blocks("ts").map((text) => [/^\/\/ (\S+)\n/.exec(text)?.[1] ?? "", text]));

Deno.test("write_a_policy.md: every file and every command of the page works as it stands", async (t) => {
  using folder = testFolder();
  const model = await textModel(folder.path);
  for (const [name, text] of files) await Deno.writeTextFile(`${folder.path}/${name}`, text);
  await Deno.writeTextFile(`${folder.path}/report.txt`, "The auditors signed. ".repeat(8));
  const prompt = JSON.stringify({ prompt: "The auditors signed. ".repeat(8) });
  await Deno.writeTextFile(`${folder.path}/prompts.jsonl`, `${prompt}\n`);
  await using server = serveModules(Object.fromEntries(files));
  const lines = blocks("sh").flatMap((block) => block.trim().split("\n"));
  assertEquals([files.size, lines.length], [5, 11]);
  for (const line of lines) {
    await t.step(line, async () => {
      const [program, command = "", ...rest] = words(
        line.replace("https://example.org/", server.url("")),
      );
      if (program === "deno") {
        await deno([command, ...rest], folder.path);
        return;
      }
      const more = {
        policies: [],
        explain: ["-m", model],
        generate: ["-m", model, "-n", "2"],
        eval: ["-m", model, "--response-tokens", "2"],
      }[command];
      assert(more, `the page shows kvjudge ${command}`);
      const env = { KVJUDGE_HOME: folder.path };
      const run = await runCli([command, ...rest, ...more], { cwd: folder.path, env });
      assertEquals(run.code, 0, run.err);
      assert(!run.out.includes("broken"), run.out);
      if (/-p \S*my_policy/.test(line)) assert(!/note: nothing was evicted/.test(run.err));
    });
  }
  await t.step("use_policy.ts", async () => {
    const path = `${folder.path}/use_policy.ts`;
    const text = files.get("use_policy.ts") ?? "";
    await Deno.writeTextFile(
      path,
      text.replace("jsr:@kvjudge/kvjudge", new URL("mod.ts", ROOT).href),
    );
    await deno(["run", "-A", "--no-check", path, model], folder.path);
  });
});

async function deno(args: readonly string[], cwd: string): Promise<void> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    env: { KVJUDGE_HOME: cwd, NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  assertEquals(code, 0, text.decode(stdout) + text.decode(stderr));
}

Deno.test("write_a_policy.md: the contract's tables have every member and every kind of evidence", () => {
  const contract = source("policies/policy.ts");
  const kinds = [...contract.matchAll(/readonly kind: "(\w+)"/g)].map(([, kind]) => kind);
  const members = [...contract.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)].map(([, name]) =>
    name
  );
  assert(kinds.includes("window") && members.includes("protect"), "the contract was not read");
  const section = (name: string) =>
    new RegExp(`interface ${name}[^{]*\\{([\\s\\S]*?)^\\}`, "m").exec(contract)?.[1] ?? "";
  const shown = ["LayerView", "PolicyBase", "ScorerPolicy", "EvictionPolicy"]
    .flatMap((name) => [...section(name).matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)])
    .map(([, name]) => name ?? "");
  assert(shown.length > 15, "the members were not read");
  const querySources = ["tokens", "greedy"];
  for (const kind of kinds.filter((kind = "") => !querySources.includes(kind))) {
    assert(PAGE.includes(`\`${kind}\``), `the page does not name evidence '${kind}'`);
  }
  for (const name of shown) {
    assert(
      new RegExp(`\`${name}(\\([\\w, ]*\\))?\``).test(PAGE),
      `the page does not name '${name}'`,
    );
  }
});
