import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { writeFolder } from "../_random_checkpoint.ts";
import { fixture } from "../_test_model.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What a run of the command line left behind. */
export interface CliRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** How the command line is run. */
export interface CliOptions {
  /** Text on standard input; nothing if absent. */
  readonly stdin?: string | Uint8Array<ArrayBuffer>;
  readonly env?: Readonly<Record<string, string>>;
  /** Working folder. @default {the repository's root} */
  readonly cwd?: string;
}

/** Starts `kvjudge` as `deno task kvjudge` does, with the same permissions. */
export function startCli(args: readonly string[], { env, stdin, cwd = ROOT }: CliOptions = {}) {
  const [, ...words] = config.tasks.kvjudge.command.split(" ").slice(0, -1);
  return new Deno.Command(Deno.execPath(), {
    // This test's own process has set the packages up: each child would look at all of them again.
    args: [...words, "--node-modules-dir=manual", `${ROOT}cli.ts`, ...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs `kvjudge` to its end. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  const child = startCli(args, options);
  const feed = options.stdin === undefined
    ? Promise.resolve()
    : new Blob([options.stdin]).stream().pipeTo(child.stdin);
  const [{ code, stdout, stderr }] = await Promise.all([child.output(), feed]);
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

/** A folder that vanishes. */
export interface TestFolder extends Disposable {
  readonly path: string;
}

/** Makes a folder that vanishes at the end of its scope. */
export function testFolder(): TestFolder {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

const CHAT_TEMPLATE =
  "{% for message in messages %}[{{ message.role }}]{{ message.content }}{% endfor %}[assistant]";

/** A random model in a folder, with a tokenizer and a chat template; nothing ends its answers. */
export async function textModel(folder: string, context = 512): Promise<string> {
  const path = `${folder}/text-model`;
  await Deno.mkdir(path);
  await writeFolder(path, { vocabulary: 520, context, eosIds: [] });
  await Deno.copyFile(fixture("tokenizers/byte_level.json"), `${path}/tokenizer.json`);
  const settings = JSON.stringify({ chat_template: CHAT_TEMPLATE });
  await Deno.writeTextFile(`${path}/tokenizer_config.json`, settings);
  return path;
}
