import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import { readSafetensors } from "../../checkpoint/safetensors.ts";
import { CheckpointError, SavedCacheError } from "../../errors.ts";
import { loadedOutcome } from "../outcome.ts";
import type { State } from "../state.ts";
import { openSavedCache, SAVED_CACHE_FORMAT } from "./header.ts";
import type { SavedCacheInfo } from "./info.ts";
import { readState } from "./read_state.ts";

/** The model that a saved cache must fit. */
export interface SavedCacheModel {
  readonly config: ModelConfig;
  readonly fingerprint: string;
}

/**
 * Reads a saved cache.
 *
 * @throws {SavedCacheError} If the file is missing or damaged, or was saved with another model.
 */
export function readSavedCache(
  path: string,
  model: SavedCacheModel,
): { readonly state: State; readonly info: SavedCacheInfo } {
  return reading(path, () => {
    const opened = openSavedCache(path);
    const { info } = opened;
    checkModel(info, model);
    const state = readState(opened, model.config);
    state.outcome = loadedOutcome(info, state.sequence.cache.bytes);
    return { state, info };
  });
}

/**
 * Tells what a saved cache holds, without its numbers and without a look at whether they are whole.
 *
 * @throws {SavedCacheError} If the file is missing or is no saved cache.
 *
 * @example
 * ```ts
 * import { loadModel } from "../../model.ts";
 * import { readSavedCacheInfo } from "./file.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const path = new URL("../../../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * const folder = await Deno.makeTempDir();
 * await using model = await loadModel(path, { precision: "fp32" });
 * const policy = {
 *   name: "latest",
 *   evidence: { kind: "none" },
 *   score: ({ positions }: { readonly positions: Int32Array }) => Float32Array.from(positions),
 * } as const;
 * await using session = model.session({ policy, budget: 16 });
 * await session.read({ ids: Array.from({ length: 40 }, (_, index) => index + 2) });
 * await session.save(`${folder}/document.kvcache`);
 * assertEquals(readSavedCacheInfo(`${folder}/document.kvcache`).tokens, 40);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export function readSavedCacheInfo(path: string): SavedCacheInfo {
  return reading(path, () => openSavedCache(path).info);
}

/** Whether a file is a saved cache, sound or not. */
export function isSavedCache(path: string): boolean {
  try {
    return readSafetensors(path).metadata.format === SAVED_CACHE_FORMAT;
  } catch (error) {
    if (error instanceof CheckpointError) return false;
    throw error;
  }
}

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    const reason = error.message.replace(`Cannot read ${path}`, "")
      .replace(/^( as safetensors)?: /, "").replace(/; fetch.*$|\.$/, "");
    throw new SavedCacheError(
      `Cannot load a saved cache from ${path}: ${reason}; give one as it was saved`,
      { cause: error },
    );
  }
}

function checkModel(
  { path, record: { model } }: SavedCacheInfo,
  { fingerprint }: SavedCacheModel,
): void {
  if (model.fingerprint === fingerprint) return;
  throw new SavedCacheError(
    `Cannot load ${path}: it was saved with the model ${model.name ?? "of another name"} ` +
      `(fingerprint ${model.fingerprint.slice(0, 12)}…), this one has fingerprint ` +
      `${fingerprint.slice(0, 12)}…; load it with the model file that it was saved with`,
  );
}
