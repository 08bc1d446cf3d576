/**
 * Writes a page for each policy to `docs/policies/` from its docstring and the registry:
 * `deno task gen-pages`. With `--check` it writes nothing and fails where a page is stale.
 *
 * @module
 */
import { type PolicyEntry, wrappedPolicies } from "../policies/_entry.ts";
import type { Evidence } from "../policies/policy.ts";
import { registry } from "../policies/registry.ts";

const ROOT = new URL("../", import.meta.url);
const PAGES = new URL("docs/policies/", ROOT);

/** What judges, and what gathering it costs. */
const COSTS: Readonly<Record<Evidence["kind"], readonly [judge: string, cost: string]>> = {
  none: ["keys and values alone", "nothing is gathered"],
  window: [
    "the attention of the last prompt tokens",
    "observed where it is computed anyway, in the last chunk of the prompt",
  ],
  accumulated: [
    "the attention of every prompt token",
    "observed in every chunk of the prompt, whose weights are then laid out in full",
  ],
  soft: ["the attention of soft tokens behind the prompt", "one step of that many tokens"],
  given: [
    "the attention of the answer itself",
    "the answer is decoded with the whole cache first, unless it is known",
  ],
  lookahead: [
    "the attention of a draft of the answer",
    "a few decoding steps on an evicted copy of the cache",
  ],
  replay: [
    "the queries with which the model repeats the text",
    "the text is read once more behind the cache, with an instruction to repeat it before each part",
  ],
  predicted: [
    "small networks on what each layer's attention reads for a token",
    "a product of each token with a few weights while the prompt is read",
  ],
  statistics: [
    "mean and covariance of the prompt's queries",
    "moments of the queries while the prompt is read, then a quadratic form per key and query head",
  ],
};

/** The same for a policy that wraps one, or two. */
const WRAPPER_COSTS = [
  ["what the inner policy judges by", "that of the inner policy"],
  ["what each of the two policies judges by", "that of both, gathered in one reading"],
] as const;

/** Where the docstring of a function stands in what `deno doc --json` prints. */
interface Documentation {
  readonly nodes: Readonly<
    Record<string, {
      readonly symbols: readonly {
        readonly name: string;
        readonly declarations: readonly { readonly kind: string; readonly jsDoc?: Docstring }[];
      }[];
    }>
  >;
}

interface Docstring {
  readonly doc?: string;
  readonly tags?: readonly { readonly kind: string; readonly doc?: string }[];
}

/** A policy as a page of Markdown, not formatted yet. */
export function policyPage(entry: PolicyEntry, { doc = "", tags = [] }: Docstring): string {
  const { name, summary, paper, evidence, options } = entry;
  const [judge, cost] = WRAPPER_COSTS[wrappedPolicies(entry) - 1] ?? COSTS[evidence];
  const tagged = (kind: string) => tags.find((tag) => tag.kind === kind)?.doc ?? "";
  const example = tagged("example").replaceAll(/"\.\/(\w+\.ts)"/g, '"../../policies/$1"');
  const rows = options.map(({ name: option, type, default: value, about }) => {
    const initial = value === undefined ? "" : `\`${JSON.stringify(value)}\``;
    return `| \`${option}\` | ${type.replaceAll("|", "\\|")} | ${initial} | ${about} |`;
  });
  const table = rows.length === 0
    ? "It takes none."
    : ["| option | may be | default | what it does |", "| - | - | - | - |", ...rows].join("\n");
  return [
    `<!-- Written by \`deno task gen-pages\` from policies/${name}.ts. -->`,
    `# \`${name}\``,
    summary,
    doc,
    `${
      paper === undefined ? "" : `- **Paper** <${paper}>.\n`
    }- **Judged by** ${judge}.\n- **Cost** ${cost}.\n- **Throws** \`OptionError\`: ${
      tagged("throws")
    }`,
    "## Options",
    table,
    "## Example",
    example,
  ].map((part) => `${part.trim()}\n`).join("\n");
}

/** Every page by file name, formatted. */
export async function policyPages(): Promise<ReadonlyMap<string, string>> {
  const files = Object.keys(registry).map((name) => `policies/${name}.ts`);
  const { nodes }: Documentation = JSON.parse(await deno(["doc", "--json", ...files]));
  const pages = new Map<string, string>();
  for (const entry of Object.values(registry)) {
    const symbols = nodes[new URL(`policies/${entry.name}.ts`, ROOT).href]?.symbols ?? [];
    const factory = symbols.find(({ name }) => name === "default")?.declarations[0]?.jsDoc;
    if (!factory) throw new Error(`Cannot write the page of '${entry.name}': it has no docstring`);
    const page = policyPage(entry, factory);
    pages.set(`${entry.name}.md`, await deno(["fmt", "--ext", "md", "-"], page));
  }
  return pages;
}

async function deno(args: readonly string[], input = ""): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  });
  const child = command.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error(`Cannot run deno ${args[0]}`);
  return new TextDecoder().decode(stdout);
}

async function staleFiles(pages: ReadonlyMap<string, string>): Promise<string[]> {
  const stale: string[] = [];
  for (const [file, page] of pages) {
    const there = await Deno.readTextFile(new URL(file, PAGES)).catch(() => "");
    if (there !== page) stale.push(file);
  }
  for await (const { name } of Deno.readDir(PAGES)) if (!pages.has(name)) stale.push(name);
  return stale;
}

if (import.meta.main) {
  await Deno.mkdir(PAGES, { recursive: true });
  const pages = await policyPages();
  const stale = await staleFiles(pages);
  if (!Deno.args.includes("--check")) {
    for (const file of stale) {
      const page = pages.get(file);
      if (page === undefined) await Deno.remove(new URL(file, PAGES));
      else await Deno.writeTextFile(new URL(file, PAGES), page);
    }
  } else if (stale.length > 0) {
    console.error(`docs/policies is stale (${stale.join(", ")}): run \`deno task gen-pages\``);
    Deno.exit(1);
  }
}
