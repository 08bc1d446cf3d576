import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import process from "node:process";
import { setTimeout as wait } from "node:timers/promises";
import { closest, distance } from "npm:fastest-levenshtein@1.0.16";
import { FetchError } from "../errors.ts";
import { CATALOG, type CatalogModel } from "./catalog.ts";
import type { FetchContext } from "./fetch_context.ts";
import { fetchPinned, fetchReference } from "./fetch_model.ts";
import { homeFolder, processEnvironment } from "./home.ts";
import { parseModelReference } from "./model_reference.ts";
import { runCommand } from "./run_command.ts";
import { demandText } from "../given.ts";

/** Options of {@linkcode resolveModel}; what is left out is the real world. */
export interface ResolveOptions extends Partial<FetchContext> {
  /** Models that have a name. @default {CATALOG} */
  readonly catalog?: readonly CatalogModel[];
}

/**
 * Finds a checkpoint, fetching it first where needed.
 *
 * @param nameOrPath A name of the catalog, a folder, a `.gguf` file, or a model of the Hugging Face
 * hub as `owner/name[@revision][:file.gguf]`.
 * @returns Absolute path of a folder or a GGUF file.
 * @throws {FetchError} If there is no such model, or it cannot be fetched, verified or stored.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await resolveModel("."), Deno.cwd());
 * ```
 */
export async function resolveModel(
  nameOrPath: string,
  { catalog = CATALOG, ...given }: ResolveOptions = {},
): Promise<string> {
  demandText("find a model", "its name", nameOrPath, "a name, a folder, a file or owner/name");
  const model = catalog.find(({ name }) => name === nameOrPath.toLowerCase());
  if (model !== undefined) {
    const { pinned, hub } = model;
    const context = fillContext(given);
    return pinned === undefined
      ? await fetchReference(hub, context)
      : await fetchPinned({ ...model, pinned }, context);
  }
  if (nameOrPath !== "" && await exists(nameOrPath)) return resolve(nameOrPath);
  const reference = looksLikePath(nameOrPath) ? undefined : parseModelReference(nameOrPath);
  if (reference === undefined) throw unknownModel(nameOrPath, catalog);
  return await fetchReference(reference, fillContext(given));
}

function fillContext(given: Partial<FetchContext>): FetchContext {
  const environment = given.environment ?? processEnvironment;
  return {
    home: homeFolder(environment),
    signal: new AbortController().signal,
    environment,
    fetch: globalThis.fetch,
    run: runCommand,
    platform: process.platform,
    sleep: (milliseconds, signal) => wait(milliseconds, undefined, { signal }),
    onProgress: () => {},
    offline: ["1", "true", "yes", "on"].includes(
      environment("HF_HUB_OFFLINE")?.toLowerCase() ?? "",
    ),
    patience: 8_000,
    stall: 30_000,
    ...given,
  };
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(() => true, () => false);
}

function looksLikePath(text: string): boolean {
  return /^[./~\\]|\\|^[a-z]:/i.test(text) || (text.endsWith(".gguf") && !text.includes(":"));
}

function unknownModel(text: string, catalog: readonly CatalogModel[]): FetchError {
  if (looksLikePath(text)) {
    return new FetchError(`Cannot open ${text}: there is no such file or folder; check the path`);
  }
  const names = catalog.map(({ name }) => name);
  const guess = suggest(text.toLowerCase(), names);
  return new FetchError(
    `Cannot find model ${JSON.stringify(text)}: ` +
      (guess === undefined ? "" : `did you mean ${guess}? `) +
      `Give a name (${names.join(", ")}), a folder, a .gguf file, ` +
      "or owner/name[@revision][:file.gguf] on the Hugging Face hub",
  );
}

function suggest(text: string, names: readonly string[]): string | undefined {
  const longer = names.find((name) => text !== "" && name.startsWith(text));
  if (longer !== undefined || names.length === 0) return longer;
  const guess = closest(text, names);
  return distance(text, guess) <= guess.length / 2 ? guess : undefined;
}
