import { basename, dirname } from "node:path";
import { CheckpointError } from "../errors.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { ModelFamily } from "./families/family.ts";
import { fileError } from "./file_range.ts";
import type { FingerprintOptions } from "./fingerprint.ts";
import { openGguf } from "./gguf_checkpoint.ts";
import { startsAsGguf } from "./gguf_header.ts";
import { openSafetensors } from "./safetensors_checkpoint.ts";

/** How to open a checkpoint. */
export interface OpenOptions extends FingerprintOptions {
  /** Families to choose from. @default {all that can be run} */
  readonly families?: readonly ModelFamily[];
}

/**
 * Opens a checkpoint: a Hugging Face folder, a `.safetensors` file with its `config.json` beside it,
 * or a GGUF file (known by its first bytes, so the nameless files of a download cache work too).
 *
 * Settings and places of all tensors are read and checked; weights stay on disk.
 *
 * @throws {CheckpointError} If the path does not exist, the model is not supported, or anything that
 * it needs is missing or damaged.
 * @example Usage
 * ```ts
 * import { openCheckpoint } from "./open.ts";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const folder = new URL("../../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * const { config, tensors } = await openCheckpoint(folder);
 * assertEquals(config.layers, 3);
 * assertEquals(tensors.get("lm_head.weight")?.shape, [320, 64]);
 * await assertRejects(() => openCheckpoint("no/such/model"), Error, "does not exist");
 * ```
 */
// Asynchronous by contract, so that checkpoints may come from elsewhere than a disk.
// deno-lint-ignore require-await
export async function openCheckpoint(
  path: string,
  options: OpenOptions = {},
): Promise<Checkpoint> {
  if (isFolder(path)) return openSafetensors(path, options);
  if (path.endsWith(".gguf") || startsAsGguf(path)) return openGguf(path, options);
  if (path.endsWith(".safetensors")) {
    const opened = openSafetensors(dirname(path), { ...options, weights: basename(path) });
    return { ...opened, path };
  }
  throw new CheckpointError(
    `Cannot open ${path}: it is neither a folder with config.json, nor a .safetensors file, ` +
      "nor a GGUF file.",
  );
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    throw fileError(path, error);
  }
}
