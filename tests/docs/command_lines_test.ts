import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { parsePolicies } from "../../evaluation/policy_list.ts";
import { OptionError } from "../../policies/policy.ts";
import { parseBudget } from "../../runtime/evict/budget.ts";
import { BudgetError } from "../../runtime/errors.ts";
import { CATALOG } from "../../runtime/models/catalog.ts";
import { source } from "../_source_tree.ts";
import { callCli } from "../commands/_call_cli.ts";
import { pages, scriptText, shownLines, words } from "./_command_lines.ts";

/** Help of a command and of those below it, by their names. */
const helps = new Map<string, Promise<string>>();

function helpOf(path: readonly string[]): Promise<string> {
  const name = path.join(" ");
  const known = helps.get(name) ?? callCli([...path, "--help"]).then(({ code, out, err }) => {
    assertEquals(code, 0, `${name}: ${err}`);
    return out;
  });
  helps.set(name, known);
  return known;
}

/** The commands that a help lists. */
const commandsIn = (help: string) =>
  [.../^Commands:\n([\s\S]*?)(?:\n\n|$(?![\s\S]))/m.exec(help)?.[1]?.matchAll(/^ {2}(\S+)/gm) ?? []]
    .map(([, name = ""]) => name);

/** Flags that a help lists, and whether each takes a value. */
const flagsIn = (help: string) =>
  new Map(
    [...help.matchAll(/^ {2}(?:(-\w), )?(--[\w-]+)( <)?/gm)].flatMap((
      [, short, long = "", value],
    ) =>
      [long, ...(short === undefined ? [] : [short])].map((flag) =>
        [flag, value !== undefined] as const
      )
    ),
  );

/** What is wrong with the words behind `kvjudge`; nothing, if they are right. */
async function mistakeIn(line: readonly string[]): Promise<string | undefined> {
  const path: string[] = [];
  let help = await helpOf(path);
  for (const word of line) {
    const names = commandsIn(help);
    if (names.length === 0 || word.startsWith("-")) break;
    if (!names.includes(word)) return `there is no command '${[...path, word].join(" ")}'`;
    path.push(word);
    help = await helpOf(path);
  }
  const flags = flagsIn(help);
  const rest = line.slice(path.length);
  for (const [at, word] of rest.entries()) {
    const behind = flags.get(rest[at - 1] ?? "") === true;
    if (word === "--") break;
    if (behind || !/^-./.test(word)) continue;
    const [flag = "", given] = word.split("=");
    const takes = flags.get(flag);
    if (takes === undefined) return `'${path.join(" ")}' has no ${flag}`;
    const value = given ?? rest[at + 1];
    if (!takes) continue;
    if (value === undefined || /^--\w/.test(value)) return `${flag} has no value`;
    const wrong = await wrongValue(flag, value);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

async function wrongValue(flag: string, value: string): Promise<string | undefined> {
  try {
    if (["-b", "--budget", "--budgets"].includes(flag)) value.split(",").forEach(parseBudget);
    // Files and addresses of a page are those of its reader; what shells put in is not known.
    if (["-p", "--policy", "--policies"].includes(flag) && !/\.ts|\$|my_policy|FILE/.test(value)) {
      await parsePolicies(value.replace(/,…$/, ""));
    }
  } catch (error) {
    if (error instanceof BudgetError || error instanceof OptionError) return error.message;
    throw error;
  }
  // A name of the catalogue: neither a path, nor what a reader puts in.
  const named = ["-m", "--model"].includes(flag) && /^[a-z][a-z0-9.-]*(?<!\.gguf)$/.test(value);
  return named && CATALOG.every(({ name }) => name !== value)
    ? `there is no model '${value}'`
    : undefined;
}

Deno.test("every kvjudge command line of the docs names commands, flags, policies and models that exist", async () => {
  const lines = pages().flatMap((page) => shownLines(page, "kvjudge"));
  assert(lines.length > 70, `${lines.length} lines`);
  const wrong: string[] = [];
  for (const { page, text, words } of lines) {
    const mistake = await mistakeIn(words);
    if (mistake !== undefined) wrong.push(`${page}: kvjudge ${text}: ${mistake}`);
  }
  assertEquals(wrong, []);
});

/** Every command, as the words that call it. */
async function allCommands(): Promise<readonly (readonly string[])[]> {
  const found: string[][] = [[]];
  for (const path of found) {
    found.push(...commandsIn(await helpOf(path)).map((name) => [...path, name]));
  }
  return found;
}

/** Flags of Deno, which pages speak of too. */
const DENO_FLAGS = /^--(allow-\w+|cached-only|include|self-extracting)$/;

Deno.test("every flag that the docs speak of is one of kvjudge, of a script or of Deno", async () => {
  const helped = await Promise.all((await allCommands()).map(helpOf));
  const flags = new Set(helped.flatMap((help) => [...flagsIn(help).keys()]));
  const scripts = ["bench/main.ts", "scripts/test.ts"].map(scriptText).join("\n");
  const declared = (flag: string) =>
    new RegExp(`["']?\\b${flag.slice(2)}["']?\\b:|"(--)?${flag.slice(2)}"`).test(scripts);
  const unknown: string[] = [];
  let spoken = 0;
  for (const page of pages()) {
    const text = source(page).replaceAll(/^```[\s\S]*?^```$/gm, "");
    for (const [, code = ""] of text.matchAll(/`([^`]+)`/g)) {
      for (const [flag] of code.matchAll(/(?<![\w-])--[a-z][\w-]*/g)) {
        spoken++;
        if (flags.has(flag) || DENO_FLAGS.test(flag) || declared(flag)) continue;
        unknown.push(`${page}: ${flag}`);
      }
    }
  }
  assertEquals(unknown, []);
  assert(spoken > 200, `${spoken} flags`);
});

Deno.test("every example in the help of a command is one that it takes", async () => {
  let examples = 0;
  for (const path of await allCommands()) {
    const help = await helpOf(path);
    const [, section = ""] = /^Examples:\n([\s\S]*)/m.exec(help) ?? [];
    for (const [, line = ""] of section.matchAll(/kvjudge (.*)$/gm)) {
      examples++;
      assertEquals(await mistakeIn(words(line)), undefined, `kvjudge ${line}`);
    }
  }
  assert(examples > 20, `${examples} examples`);
});

Deno.test("every deno task of the docs exists and has the flags that it is given", () => {
  const tasks: Readonly<Record<string, { readonly command: string }>> = config.tasks;
  const lines = pages().flatMap((page) => shownLines(page, "deno task"));
  assert(lines.length > 60, `${lines.length} lines`);
  for (const { page, text, words: [name = "", ...rest] } of lines) {
    const task = tasks[name];
    assert(task !== undefined, `${page}: there is no task ${name}`);
    const script = / (\S+\.ts)\b/.exec(task.command)?.[1];
    for (const flag of rest.filter((word) => /^--\w/.test(word) && word !== "--help")) {
      assert(script !== undefined, `${page}: ${text}`);
      const option = new RegExp(`["']?\\b${flag.slice(2)}["']?\\b:|"(--)?${flag.slice(2)}"`);
      assertMatch(scriptText(script), option, `${page}: deno task ${text}`);
    }
  }
});

Deno.test("a command line that is wrong is found", async () => {
  const wrong: readonly [line: string, message: string][] = [
    ["genrate x", "there is no command 'genrate'"],
    ["eval rule", "there is no command 'eval rule'"],
    ["generate --buget 3 x", "'generate' has no --buget"],
    ["policies check ./a.ts --html", "'policies check' has no --html"],
    ["generate -p snapkv(windw=3) x", "windw"],
    ["explain -p ada_kv(snap_kv)", "snap_kv"],
    ["chat -b 0", "Cannot use 0 tokens as a budget"],
    ["chat -m smollm3", "there is no model 'smollm3'"],
    ["generate --policy", "--policy has no value"],
  ];
  for (const [line, message] of wrong) {
    const found = await mistakeIn(words(line));
    assert(found?.includes(message), `${line}: ${found}`);
  }
  assertEquals(words(`a "b c" 'd e' f=g | h`), ["a", "b c", "d e", "f=g"]);
});
