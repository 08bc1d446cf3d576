import { PromptError } from "../runtime/errors.ts";

/**
 * Reads a text file, or standard input where the path is `-`.
 *
 * @param what What is read, for the error: "the prompt".
 * @throws {PromptError} If it cannot be read, or is not UTF-8 text.
 */
export async function readInput(path: string, what: string): Promise<string> {
  const place = path === "-" ? "standard input" : path;
  const bytes = await readBytes(path).catch((error: unknown) => {
    throw new PromptError(`Cannot read ${what} from ${place}: ${reasonOf(error)}`, {
      cause: error,
    });
  });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new PromptError(`Cannot read ${what} from ${place}: it is not UTF-8 text`, {
      cause: error,
    });
  }
}

async function readBytes(path: string): Promise<Uint8Array> {
  if (path !== "-") return await Deno.readFile(path);
  return new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer());
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder";
  if (error instanceof Deno.errors.PermissionDenied) return "the system does not permit it";
  return error instanceof Error ? error.message : String(error);
}

/**
 * Reads a JSON text.
 *
 * @param what Where it comes from and what it must be: "--options must be a JSON object".
 * @throws {PromptError} If it is not JSON.
 */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
    throw new PromptError(`${what}, got ${JSON.stringify(shown)}`, { cause: error });
  }
}
