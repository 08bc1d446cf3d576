import { table } from "./_table.ts";
import { Command } from "@cliffy/command";
import type { PluginReport } from "../plugins/conformance/check_plugin.ts";
import type { PolicyEntry } from "../policies/_entry.ts";
import { registry } from "../policies/registry.ts";
import { PolicyError } from "../runtime/errors.ts";
import { note, write } from "./_output.ts";
import { bareCommand, type Subcommand } from "./_subcommand.ts";

/** `kvjudge policies`: lists the policies, checks one. */
export function policiesCommand(): Subcommand {
  return bareCommand().name("kvjudge policies").description(
    "Lists the policies with their paper, evidence and options.",
  )
    .option("--json", "Print a JSON array.")
    .action(({ json }) => {
      const entries = Object.values(registry);
      write(json ? `${JSON.stringify(entries.map(record))}\n` : entries.map(show).join("\n"));
    })
    .command(
      "check",
      new Command()
        .description(
          "Checks that a policy does what every policy must: a file, a URL or a name, with options " +
            "in parentheses as in './mine.ts(share=0.5)'.",
        )
        .arguments("<policy:string>")
        .option("--trust", "Run a policy from a URL without a sandbox, with every permission.")
        .option("--reload", "Fetch a policy from a URL again; Deno keeps what it fetched.")
        .option("--json", "Print one JSON object.")
        .example("A policy of your own", "kvjudge policies check ./my_policy.ts")
        .action((flags, policy) => check(policy, flags)),
    );
}

interface CheckFlags {
  readonly trust?: boolean | undefined;
  readonly reload?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** Prints what a policy breaks, and fails if that is anything. */
async function check(
  source: string,
  { trust = false, reload = false, json = false }: CheckFlags,
): Promise<void> {
  const { openPolicy } = await import("../plugins/load_policy.ts");
  const { checkPlugin } = await import("../plugins/conformance/check_plugin.ts");
  const onPrint = (line: string) => note(`policy: ${line}`);
  await using opened = await openPolicy(source, { trust, reload, onPrint });
  const report = await checkPlugin(opened.create);
  write(json ? `${JSON.stringify(report)}\n` : showReport(report));
  const broken = report.results.filter(({ outcome }) => outcome === "broken").length;
  if (broken === 0) return;
  throw new PolicyError(
    `Policy '${report.name}' breaks ${broken} of ${report.results.length} checks; mend what is ` +
      "marked as broken and check again",
  );
}

function showReport({ name, kind, evidence, results }: PluginReport): string {
  const shown = new Set<string>();
  const lines = results.map(({ title, outcome, problem }) => {
    const line = `  ${outcome.padEnd(6)}  ${title}`;
    if (problem === undefined) return line;
    const text = shown.has(problem) ? "as above" : problem;
    shown.add(problem);
    return `${line}\n          ${text}`;
  });
  return [`${name}: ${kind}, evidence ${evidence}`, ...lines, ""].join("\n");
}

function record({ load: _load, ...entry }: PolicyEntry): object {
  return entry;
}

function show({ name, summary, paper, evidence, options }: PolicyEntry): string {
  return [
    `${name}: ${summary}`,
    `  paper     ${paper ?? "none"}`,
    `  evidence  ${evidence}`,
    options.length === 0 ? "  options   none" : "  options",
    table(options.map(optionRow), { left: [0, 1], indent: "    " }),
  ].join("\n");
}

function optionRow({ name, type, about, default: fallback }: PolicyEntry["options"][number]) {
  const shown = fallback === undefined ? "" : ` (default: ${JSON.stringify(fallback)})`;
  return [name, `${type}${shown}: ${about}`];
}
