/**
 * Writes the policy table of `README.md` from the registry: `deno task gen-readme`. With `--check` it
 * writes nothing and fails where the table is stale.
 *
 * @module
 */
import { type PolicyEntry, wrappedPolicies } from "../policies/_entry.ts";
import type { Evidence } from "../policies/policy.ts";
import { registry } from "../policies/registry.ts";

const README = new URL("../README.md", import.meta.url);
const START = "<!-- policies: written by `deno task gen-readme` -->\n";
const END = "<!-- end of policies -->\n";

const EVIDENCE: Readonly<Record<Evidence["kind"], string>> = {
  none: "none",
  window: "last prompt tokens",
  accumulated: "every prompt token",
  soft: "soft tokens",
  given: "the answer itself",
  lookahead: "a draft of the answer",
  statistics: "expected queries",
  replay: "the text, repeated",
  predicted: "small networks",
};

/** The same for a policy that wraps one, or two. */
const WRAPPERS = ["the inner policy's", "both policies'"];

/** The policies as a Markdown table, its columns padded as `deno fmt` pads them. */
export function policyTable(entries: readonly PolicyEntry[]): string {
  const rows = [
    ["policy", "paper", "whose attention judges", "what it does"],
    ...entries.map((entry) => {
      const { name, paper, evidence, summary } = entry;
      return [
        `[\`${name}\`](docs/policies/${name}.md)`,
        paper === undefined ? "" : `[${paper.split(/[/=]/).at(-1)}](${paper})`,
        WRAPPERS[wrappedPolicies(entry) - 1] ?? EVIDENCE[evidence],
        summary,
      ];
    }),
  ];
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...rows.map((cells) => cells[column]?.length ?? 0))
  );
  const lines = rows.map((cells) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |\n`
  );
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |\n`;
  return [lines[0], rule, ...lines.slice(1)].join("");
}

/**
 * Puts a table between the marks of a text.
 *
 * @throws {Error} If a mark is missing.
 */
export function withTable(text: string, table: string): string {
  const start = text.indexOf(START);
  const end = text.indexOf(END);
  if (start < 0 || end < start) {
    throw new Error(`Cannot write the policies: README.md needs the lines ${START}and ${END}`);
  }
  return `${text.slice(0, start + START.length)}\n${table}\n${text.slice(end)}`;
}

if (import.meta.main) {
  const text = await Deno.readTextFile(README);
  const fresh = withTable(text, policyTable(Object.values(registry)));
  if (!Deno.args.includes("--check")) {
    await Deno.writeTextFile(README, fresh);
  } else if (text !== fresh) {
    console.error("The policies in README.md are stale: run `deno task gen-readme`");
    Deno.exit(1);
  }
}
