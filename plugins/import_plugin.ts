import { fileURLToPath } from "node:url";
import { OptionError } from "../policies/policy.ts";
import { KvjudgeError, PolicyError } from "../runtime/errors.ts";
import { oneLine } from "./one_line.ts";
import { factoryOf, type PolicyFactory } from "./plugin.ts";
import { servedAsOther } from "./sandbox/served_type.ts";

/**
 * Imports a plugin into this process, where it may do what the process may do.
 *
 * @throws {PolicyError} If it does not exist, is broken or exports no factory.
 */
export async function importPlugin(url: URL): Promise<PolicyFactory> {
  const source = url.protocol === "file:" ? fileURLToPath(url) : url.href;
  if (url.protocol === "file:") await checkFile(source);
  let module: { readonly default?: unknown };
  try {
    module = await import(url.href);
  } catch (cause) {
    throw new PolicyError(`Cannot load the policy ${source}: ${await importProblem(url, cause)}`, {
      cause,
    });
  }
  const create = factoryOf(module, source);
  return async (options) => {
    try {
      return await create(options);
    } catch (cause) {
      if (cause instanceof KvjudgeError || isOptionError(cause)) throw cause;
      const reason = oneLine(cause instanceof Error ? cause.message : String(cause));
      throw new PolicyError(`Cannot make the policy of ${source}: ${reason}`, { cause });
    }
  };
}

/** Deno says of a missing file what it says of a missing import of that file. */
async function checkFile(path: string): Promise<void> {
  const problem = await Deno.stat(path).then(
    ({ isFile }) => isFile ? undefined : "it is no file",
    // What cannot be looked at may be imported all the same.
    (error) => error instanceof Deno.errors.NotFound ? "there is no such file" : undefined,
  );
  if (problem !== undefined) {
    throw new PolicyError(`Cannot load the policy ${path}: ${problem}; give the path of a module`);
  }
}

/** An error of this class, or of the same class from another copy of kvjudge. */
function isOptionError(error: unknown): boolean {
  if (error instanceof OptionError) return true;
  if (!(error instanceof RangeError) || error.name !== "OptionError") return false;
  throw new OptionError(oneLine(error.message), { cause: error });
}

async function importProblem(url: URL, error: unknown): Promise<string> {
  const message = error instanceof Error ? error.message : String(error);
  const text = oneLine(message);
  const host = /Requires import access to "(.*?)"/.exec(text)?.[1];
  if (host !== undefined) {
    return `kvjudge may not import from ${host}; allow it with --allow-import`;
  }
  const file = /Requires read access to "(.*?)"/.exec(text)?.[1];
  if (file !== undefined) return `kvjudge may not read ${file}; allow it with --allow-read`;
  const served = await servedAsOther(url, `${error}`);
  if (served !== undefined) return served;
  const place = /^\s+at (\S+:\d+:\d+)$/m.exec(message)?.[1];
  return place === undefined ? text : `${text} (${place})`;
}
