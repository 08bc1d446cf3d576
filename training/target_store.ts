import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { openRange } from "../runtime/checkpoint/file_range.ts";
import { readFloats, readTensor, writeSafetensors } from "../runtime/checkpoint/safetensors.ts";
import { readSafetensors } from "../runtime/checkpoint/safetensors_header.ts";
import { CheckpointError } from "../runtime/errors.ts";
import type { PromptCache, Target } from "./target.ts";

/** Targets on disk, and the prompts' keys and values beside them. */
export interface TargetStore {
  /** Whether there is a whole target of that name. */
  has(key: string): boolean;
  /** Whether the prompt's keys and values are kept, whole. */
  hasPast(key: string): boolean;
  /** Saves a target; a run that is killed meanwhile leaves none of that name. */
  save(key: string, target: Target, past?: PromptCache): Promise<void>;
  /**
   * Reads a target.
   *
   * @throws {CheckpointError} If its file is missing or damaged.
   */
  load(key: string): Target;
  /**
   * Reads a prompt's keys and values.
   *
   * @throws {CheckpointError} As {@linkcode TargetStore.load}.
   */
  loadPast(key: string): PromptCache;
}

/** What a killed run left half-written is this old, in milliseconds, before it is removed. */
const ABANDONED = 10 * 60_000;

/**
 * Opens a folder of targets, made where it is missing.
 */
export function openTargetStore(folder: string): TargetStore {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    // Another run may be writing into the same folder.
    if (name.endsWith(".tmp") && Date.now() - statSync(file).mtimeMs > ABANDONED) rmSync(file);
  }
  const targetPath = (key: string) => join(folder, `${key}.target.safetensors`);
  const pastPath = (key: string) => join(folder, `${key}.past.safetensors`);
  return {
    has: (key) => isWhole(targetPath(key)),
    hasPast: (key) => isWhole(pastPath(key)),
    async save(key, { prompt, response, attention }, past) {
      // The target comes last: where it is, the keys and values are as well.
      if (past) await savePast(pastPath(key), past, prompt.length);
      await writeSafetensors(targetPath(key), {
        prompt: { shape: [prompt.length], data: prompt },
        response: { shape: [response.length], data: response },
        attention: { shape: [attention.length / prompt.length, prompt.length], data: attention },
      });
    },
    load(key) {
      const path = targetPath(key);
      return {
        prompt: readInts(path, "prompt"),
        response: readInts(path, "response"),
        attention: readFloats(path, "attention").data,
      };
    },
    loadPast: (key) => readPast(pastPath(key)),
  };
}

/** Whether a file is there and as long as its header says. */
function isWhole(path: string): boolean {
  if (!existsSync(path)) return false;
  try {
    return readSafetensors(path).tensors.size > 0;
  } catch (error) {
    if (error instanceof CheckpointError) return false;
    throw error;
  }
}

function readInts(path: string, name: string): Int32Array {
  const { data } = readTensor(path, name);
  if (data instanceof Int32Array) return data;
  throw new CheckpointError(`Cannot read tensor "${name}" of ${path}: it must hold I32`);
}

async function savePast(path: string, past: PromptCache, tokens: number): Promise<void> {
  const width = (past[0]?.keys.length ?? 0) / tokens;
  const stack = (part: "keys" | "values") => {
    const data = new Uint8Array(past.length * tokens * width * 2);
    past.forEach((layer, index) => {
      const { buffer, byteOffset, byteLength } = layer[part];
      data.set(new Uint8Array(buffer, byteOffset, byteLength), index * byteLength);
    });
    return { shape: [past.length, tokens * width * 2], data };
  };
  await writeSafetensors(path, { keys: stack("keys"), values: stack("values") });
}

function readPast(path: string): PromptCache {
  const { tensors } = readSafetensors(path);
  const [keys, values] = ["keys", "values"].map((name) => {
    const entry = tensors.get(name);
    if (!entry) throw new CheckpointError(`Cannot read ${path}: it has no tensor "${name}"`);
    using file = openRange(path);
    const bytes = new Uint8Array(entry.bytes);
    file.read(bytes, entry.offset);
    const [layers = 0] = entry.shape;
    const plane = entry.bytes / layers / 2;
    return Array.from(
      { length: layers },
      (_, layer) => new Float16Array(bytes.buffer, layer * plane * 2, plane),
    );
  });
  return (keys ?? []).map((ofLayer, layer) => ({
    keys: ofLayer,
    values: values?.[layer] ?? new Float16Array(),
  }));
}
