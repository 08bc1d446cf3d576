/**
 * Runs tests in several processes at a time: `deno task test [--fast] [--jobs N] [PATH…]`. Without
 * paths it also runs every example in the docs and checks all types; `--fast` leaves out what is slow.
 * Prints failures whole, and at the end one line as `deno test` writes it.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ownCores } from "./test/cores.ts";
import { divide, fastFiles, type Shard } from "./test/shards.ts";
import { add, type Counts, NONE, readCounts, summaryLine, worthShowing } from "./test/summary.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** One process, and what it is called in the log. */
interface Work {
  readonly name: string;
  readonly args: readonly string[];
  /** Whether it runs tests, which it must then sum up. */
  readonly tests: boolean;
}

const TYPES: Work = { name: "types", args: ["check", "--doc", "--quiet"], tests: false };
const EXAMPLES: Work = {
  // A policy's page repeats the example of its file.
  ...testing(["--doc", "--ignore=tests,docs/policies", "."]),
  name: "examples in the docs",
};

function testing(args: readonly string[]): Work {
  const flags = ["--no-check", "--no-prompt", "--allow-all"];
  return { name: args.join(" "), args: ["test", ...flags, ...args], tests: true };
}

const ofShard = ({ name, files }: Shard): Work => ({ ...testing(files), name });

/**
 * A copy of the lock file: tests import from servers of their own, whose addresses must not stay in
 * the project's.
 */
async function copyOfLock(): Promise<AsyncDisposable & { readonly path: string }> {
  const folder = await Deno.makeTempDir({ prefix: "kvjudge-test-" });
  const path = join(folder, "deno.lock");
  await Deno.copyFile(join(ROOT, "deno.lock"), path);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}

/** Where work runs. */
interface Place {
  readonly lock: string;
  /** The only core that it gets; all if absent. */
  readonly core?: number | undefined;
}

/** Runs work to its end and reports it. */
async function perform({ name, args, tests }: Work, { lock, core }: Place): Promise<Counts> {
  const start = performance.now();
  const [command = "", ...rest] = args;
  const words = [Deno.execPath(), command, `--lock=${lock}`, ...rest];
  const [program = "", ...given] = core === undefined
    ? words
    : ["taskset", "-c", `${core}`, ...words];
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: given,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const output = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
  const found = tests ? readCounts(output) : NONE;
  // A crash or a wrong type leaves no failed test behind: it counts as one.
  const uncounted = (code !== 0 || !found) && !found?.failed ? 1 : 0;
  const counts = add(found ?? NONE, { ...NONE, failed: uncounted });
  const said = worthShowing(output, counts.failed > 0).trim();
  console.log(`${name}: ${summaryLine(counts, performance.now() - start)}`);
  if (said !== "") console.log(said);
  return counts;
}

/**
 * Performs all of it, so many at a time. All but the first are kept to a core each: a model's threads
 * that wait for each other beside other processes would spend half of the time on waiting.
 */
async function performAll(work: readonly Work[], jobs: number, lock: string): Promise<Counts> {
  const waiting = [...work];
  let total = NONE;
  const cores = await ownCores();
  const worker = async (_: unknown, at: number) => {
    const core = at === 0 ? undefined : cores[(at - 1) % cores.length];
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const counts = await perform(next, { lock, core });
      total = add(total, counts);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return total;
}

async function testFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(resolve(ROOT, folder))) {
    const path = `${folder}/${name}`;
    if (isDirectory) files.push(...await testFiles(path));
    else if (name.endsWith("_test.ts")) files.push(path);
  }
  return files;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      fast: { type: "boolean", default: false },
      jobs: { type: "string" },
      // Where the tests of this script itself find theirs.
      folder: { type: "string", default: "tests" },
    },
  });
  // One more than processors: tests wait for servers and other processes a quarter of the time.
  const jobs = Number(values.jobs ?? Math.min(navigator.hardwareConcurrency + 1, 4));
  const paths = positionals.map((path) => path.replace(/^\.\//, ""));
  const named = (file: string) => paths.length === 0 || paths.some((path) => file.startsWith(path));
  const files = (await testFiles(values.folder)).filter(named);
  const work = divide(values.fast ? fastFiles(files) : files).map(ofShard);
  // Both are long, so they start behind the longest.
  if (paths.length === 0 && !values.fast) work.splice(1, 0, EXAMPLES, TYPES);
  const start = performance.now();
  await using lock = await copyOfLock();
  const counts = await performAll(work, jobs, lock.path);
  if (counts.passed + counts.failed + counts.ignored === 0) console.log(`No tests: ${paths}`);
  console.log(`\n${summaryLine(counts, performance.now() - start)}`);
  Deno.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
}
