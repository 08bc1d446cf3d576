import { PromptError } from "../runtime/errors.ts";
import type { Prompt } from "../runtime/tokenizer/prompt.ts";
import { checkTarget } from "./_check_target.ts";
import { type PromptFlags, readPrompt } from "./_prompt.ts";

/**
 * Reads the document of a prompt alone, so that questions can follow it.
 *
 * @returns The document as it opens a message, or raw text or ids as they are.
 * @throws {PromptError} If there is none, or it cannot be read.
 */
export async function readDocument(flags: PromptFlags): Promise<Prompt> {
  const prompt = await readPrompt(flags, undefined, false);
  if ("text" in prompt) return { text: prompt.text.trimEnd() };
  if (!("messages" in prompt)) return prompt;
  const content = (role: string) => prompt.messages.find((one) => one.role === role)?.content;
  const system = content("system");
  return { document: content("user") ?? "", ...(system === undefined ? {} : { system }) };
}

/** A question as it follows raw text: an empty line below it. */
export function questionBelow(question: string): string {
  return `\n\n${question}`;
}

/**
 * Refuses a place for a saved cache before a document is read for it.
 *
 * @throws {PromptError} If there is no document.
 * @throws {StorageError} If the folder does not exist, or the place is one.
 */
export async function checkSaving(path: string, flags: PromptFlags): Promise<void> {
  if (flags.promptFile === undefined && flags.idsFile === undefined) {
    throw new PromptError(
      "Cannot save a cache without a document: give --prompt-file or --ids-file, or use /save in " +
        "kvjudge chat",
    );
  }
  await checkTarget(path);
}

/**
 * Refuses what is no saved cache before a model is loaded for it.
 *
 * @throws {SavedCacheError} If the file is missing, damaged or something else.
 */
export async function checkCache(path: string): Promise<void> {
  const { readSavedCacheInfo } = await import("../runtime/session/saved/file.ts");
  readSavedCacheInfo(path);
}
