import { fileURLToPath } from "node:url";
import { FetchError } from "../../runtime/errors.ts";
import { readInput } from "../_read_input.ts";

/** The story that ships with kvjudge. */
const STORY = new URL("../../examples/speckled_band.txt", import.meta.url);

/**
 * Reads the prose that facts are planted in, or a text to predict.
 *
 * @param path File, `-` for standard input; the story that ships with kvjudge if absent.
 * @param flag The flag that names it, for errors.
 * @throws {PromptError} If it cannot be read.
 * @throws {FetchError} If kvjudge runs from a URL and the story cannot be fetched.
 */
export async function readHaystack(
  path: string | undefined,
  flag: "haystack" | "text" = "haystack",
): Promise<string> {
  if (path !== undefined) return await readInput(path, `the ${flag}`);
  if (STORY.protocol === "file:") return await readInput(fileURLToPath(STORY), `the ${flag}`);
  const response = await fetch(STORY);
  if (response.ok) return await response.text();
  await response.body?.cancel();
  throw new FetchError(
    `Cannot fetch ${STORY.href}: the server answers ${response.status}; give --${flag}`,
  );
}
