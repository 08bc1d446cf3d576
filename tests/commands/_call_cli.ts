import process from "node:process";
import { fileURLToPath } from "node:url";
import { main } from "../../cli.ts";
import { ROOT } from "../_source_tree.ts";
import { stub } from "../_stub.ts";
import type { CliOptions, CliRun } from "./_run_cli.ts";

/** The call before: what calls replace belongs to the whole process. */
let before: Promise<unknown> = Promise.resolve();

/**
 * Runs `kvjudge` to its end in this process, which takes half a second less than one of its own does
 * (`runCli`). Standard input, where a command reads it line by line, and signals need the latter, and
 * so does a policy's file that changes between two runs.
 */
export function callCli(args: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  const call = before.then(() => called(args, options));
  before = call.catch(() => {});
  return call;
}

async function called(
  args: readonly string[],
  { env = {}, stdin, cwd = fileURLToPath(ROOT) }: CliOptions,
): Promise<CliRun> {
  const [out, err] = [collector(), collector()];
  using _out = stub(Deno, "stdout", out.stream);
  using _err = stub(Deno, "stderr", err.stream);
  using _in = stub(Deno, "stdin", { ...Deno.stdin, ...source(stdin) });
  using _log = stub(console, "log", (text: string) => out.add(`${text}\n`));
  using _error = stub(console, "error", (text: string) => err.add(`${text}\n`));
  using _env = variables(env);
  using _cwd = workingFolder(cwd);
  const code = await main(args);
  return { code, out: out.text(), err: err.text() };
}

/** A stream that keeps what is written. */
function collector() {
  const encoder = new TextEncoder();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const writeSync = (bytes: Uint8Array) => {
    parts.push(bytes.slice());
    return bytes.length;
  };
  return {
    add: (text: string) => void parts.push(encoder.encode(text)),
    text: () => new TextDecoder().decode(new Uint8Array(parts.flatMap((part) => [...part]))),
    stream: {
      writeSync,
      write: (bytes: Uint8Array) => Promise.resolve(writeSync(bytes)),
      close() {},
      writable: new WritableStream<Uint8Array<ArrayBufferLike>>({
        write: (bytes) => void writeSync(bytes),
      }),
      isTerminal: () => false,
    },
  };
}

function source(stdin: CliOptions["stdin"]) {
  return {
    readable: new Blob(stdin === undefined ? [] : [stdin]).stream(),
    isTerminal: () => false,
  };
}

function variables(env: Readonly<Record<string, string>>): Disposable {
  const stack = new DisposableStack();
  for (const [name, value] of Object.entries(env)) {
    const was = process.env[name];
    process.env[name] = value;
    stack.defer(() => {
      if (was === undefined) delete process.env[name];
      else process.env[name] = was;
    });
  }
  return stack;
}

function workingFolder(folder: string): Disposable {
  const was = Deno.cwd();
  Deno.chdir(folder);
  return { [Symbol.dispose]: () => Deno.chdir(was) };
}
