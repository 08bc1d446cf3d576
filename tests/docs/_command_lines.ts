import { source, sourceFiles } from "../_source_tree.ts";

/** A command line that a page shows. */
export interface ShownLine {
  readonly page: string;
  /** As it stands there, without its comment. */
  readonly text: string;
  /** Words behind `kvjudge`, or behind `deno task`. */
  readonly words: readonly string[];
}

/** Words of a command line up to a pipe, a redirection or the next command; quotes hold words together. */
export function words(line: string): string[] {
  const found: string[] = [];
  for (const [, double, single, plain = ""] of line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)) {
    const quoted = double ?? single;
    if (quoted === undefined && /^(\||&&?|\d?>.*|#.*|…)$/.test(plain)) break;
    found.push(quoted ?? plain);
  }
  return found;
}

/** The command lines of a page that call a program: in blocks of shell or of no language, and in prose. */
export function shownLines(page: string, program: "kvjudge" | "deno task"): readonly ShownLine[] {
  const text = source(page);
  const blocks = [...text.matchAll(/^```(\S*).*\n([\s\S]*?)^```$/gm)]
    .filter(([, language]) => language === "" || language === "sh")
    .flatMap(([, , block = ""]) => block.replaceAll(/\\\n\s*/g, "").split("\n"));
  const prose = [...text.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/`([^`]+)`/g)]
    .map(([, code = ""]) => code.replaceAll(/\s+/g, " "));
  return [...blocks, ...prose].flatMap((line) => called(line, program))
    .map((line) => ({ page, text: line, words: words(line) }));
}

/** What stands behind a program's name, once for each call of it in a line. */
function called(line: string, program: "kvjudge" | "deno task"): readonly string[] {
  const start = program === "kvjudge"
    ? /(?:^|[|&] ?|^deno task |^[A-Z_]+=\S+ )kvjudge (?=[a-z-])/g
    : /(?:^|&& )deno task (?!kvjudge)(?=[a-z])/g;
  return [...line.matchAll(start)].map(({ index, 0: { length } }) => line.slice(index + length));
}

/** Every page that tells how things are used. */
export function pages(): readonly string[] {
  const markdown = (folder: string) =>
    [...Deno.readDirSync(new URL(`../../${folder}`, import.meta.url))]
      .filter(({ name }) => name.endsWith(".md")).map(({ name }) => `${folder}${name}`);
  const folders = ["", "docs/", "docs/policies/", "docs/decisions/", "examples/", "bench/"];
  return folders.flatMap(markdown).filter((page) => page !== "CHANGELOG.md").sort();
}

/** Text of all modules beside a script, and of itself: where its flags are declared. */
export function scriptText(script: string): string {
  const folder = script.replace(/[^/]*$/, "");
  return sourceFiles(folder).map(source).join("\n");
}
