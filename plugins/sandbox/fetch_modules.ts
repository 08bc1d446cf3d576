import { PolicyError } from "../../runtime/errors.ts";
import { oneLine } from "../one_line.ts";
import { type Fetching, fetchingCommand, started } from "./deno_program.ts";
import { servedAsOther } from "./served_type.ts";

/** Milliseconds for fetching a plugin and what it imports. */
const FETCHING = 60_000;

/**
 * Fetches a plugin and what it imports into Deno's cache.
 *
 * @throws {PolicyError} If that fails.
 */
export async function fetchModules(url: URL, fetching: Fetching): Promise<void> {
  const signal = AbortSignal.timeout(FETCHING);
  const { success, stderr } = await started(
    () => fetchingCommand(url, signal, fetching).output(),
    url,
  );
  if (success) return;
  const lines = new TextDecoder().decode(stderr).split("\n");
  const [, first = ""] = /^error: (.*)/.exec(lines.find((line) => /^error: /.test(line)) ?? "") ??
    [];
  const detail = lines.find((line) => /^ {4}(0:|at) /.test(line))?.replace(/^ {4}(0: )?/, "") ?? "";
  const problem = signal.aborted
    ? `no answer within ${FETCHING / 1000} seconds`
    : await servedAsOther(url, `${first} ${detail}`) ?? fetchProblem(first, detail);
  throw new PolicyError(`Cannot load the policy ${url.href}: ${problem}`);
}

/** Deno's words, and what to do about them. */
function fetchProblem(first: string, detail: string): string {
  if (/^Module not found/.test(first)) return `${oneLine(first)} (the server answers 404)`;
  if (/Requires import access to "(.*?)"/.test(first)) {
    return `it imports from ${
      /"(.*?)"/.exec(first)?.[1]
    }, and a policy in a sandbox imports from ` +
      "its own host or a public registry alone; trust it if you know its author";
  }
  if (/^npm specifiers/.test(first)) {
    return "it imports an npm package, which a policy in a sandbox cannot; have it import from " +
      "https://esm.sh, or trust it if you know its author";
  }
  return oneLine([first, detail].filter((part) => part !== "").join(" "));
}
