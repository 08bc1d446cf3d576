import { Command } from "@cliffy/command";
import type { PolicyEntry } from "../policies/create.ts";
import { registry } from "../policies/registry.ts";
import { write } from "./_output.ts";
import type { Subcommand } from "./_subcommand.ts";

/** `kvjudge policies`: lists the policies. */
export function policiesCommand(): Subcommand {
  return new Command()
    .name("kvjudge policies")
    .description("Lists the policies with their paper, evidence and options.")
    .noExit()
    .help({ colors: Deno.stdout.isTerminal() })
    .option("--json", "Print a JSON array.")
    .action(({ json }) => {
      const entries = Object.values(registry);
      write(json ? `${JSON.stringify(entries.map(record))}\n` : entries.map(show).join("\n"));
    });
}

function record({ load: _load, ...entry }: PolicyEntry): object {
  return entry;
}

function show({ name, summary, paper, evidence, options }: PolicyEntry): string {
  const width = Math.max(...options.map((option) => option.name.length));
  return [
    `${name}: ${summary}`,
    `  paper     ${paper ?? "none"}`,
    `  evidence  ${evidence}`,
    options.length === 0 ? "  options   none" : "  options",
    ...options.map((option) => {
      const fallback = option.default === undefined
        ? ""
        : ` (default: ${JSON.stringify(option.default)})`;
      return `    ${option.name.padEnd(width)}  ${option.type}${fallback}: ${option.about}`;
    }),
    "",
  ].join("\n");
}
