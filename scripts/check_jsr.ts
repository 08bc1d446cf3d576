/**
 * Checks the repository against the real JSR packages instead of the stand-ins:
 * `deno task check-jsr --std DIR --cliffy DIR`, with checkouts of `denoland/std` and
 * `c4spar/cliffy`. It works in a copy of the repository, so nothing here changes.
 *
 * @module
 */
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** What is left behind: made by tools, or about the checkout itself. */
const SKIPPED = new Set([".git", ".kvjudge", "coverage", "deno.lock", "node_modules"]);

/** Tests that exercise the packages. */
const TESTS = ["tests/stand_ins/", "tests/commands/", "tests/cli_test.ts"];

/** Places of the type errors in what `deno check` printed. */
export function errorPlaces(output: string): readonly string[] {
  return [...output.matchAll(/^ {4}at (file:\S+):\d+:\d+$/gm)].map((match) => match[1] ?? "");
}

/** Copies the repository with `links` turned to the checkouts. */
function copyRepository(target: string, links: readonly string[]): void {
  cpSync(ROOT, target, {
    recursive: true,
    filter: (source) => !SKIPPED.has(basename(source)),
  });
  const file = join(target, "deno.json");
  const config: Record<string, unknown> = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify({ ...config, links }, undefined, 2));
}

/** Runs Deno in the copy. */
function deno(cwd: string, stderr: "piped" | "inherit", args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stderr,
  }).spawn();
}

/**
 * Type-checks the copy. The packages' own files are held to this repository's stricter settings when
 * they are linked; errors there do not count, as they do not count when a package comes from JSR.
 */
async function checkTypes(copy: string): Promise<boolean> {
  const { success, stderr } = await deno(copy, "piped", ["check"]).output();
  const output = new TextDecoder().decode(stderr);
  const places = errorPlaces(output);
  const ours = places.filter((place) => fileURLToPath(place).startsWith(copy));
  if (success || (places.length > 0 && ours.length === 0)) {
    console.log(`types: ok (${places.length} errors inside the linked packages ignored)`);
    return true;
  }
  console.error(output);
  return false;
}

/** Runs the checks; resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { std: { type: "string" }, cliffy: { type: "string" } },
  });
  const links: string[] = [];
  for (const [name, folder] of [["std", values.std], ["cliffy", values.cliffy]]) {
    if (folder === undefined || !existsSync(join(folder, "deno.json"))) {
      console.error(`error: --${name} must be a folder with a checkout that has a deno.json`);
      return 2;
    }
    links.push(resolve(folder));
  }
  const copy = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "kvjudge-jsr-" }));
  try {
    copyRepository(copy, links);
    if (!await checkTypes(copy)) return 1;
    const tests = TESTS.filter((folder) => existsSync(join(copy, folder)));
    const test = deno(copy, "inherit", ["test", "--no-check", "--allow-all", ...tests]);
    return (await test.status).code;
  } finally {
    Deno.removeSync(copy, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
