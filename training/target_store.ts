import { existsSync, readdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { openRange } from "../runtime/checkpoint/file_range.ts";
import { readFloats, readTensor, writeSafetensors } from "../runtime/checkpoint/safetensors.ts";
import {
  readSafetensors,
  type SafetensorsHeader,
} from "../runtime/checkpoint/safetensors_header.ts";
import type { HostEngine } from "../runtime/engine/host/host_engine.ts";
import { CheckpointError } from "../runtime/errors.ts";
import { writeError } from "../runtime/atomic_file.ts";
import { TrainingError } from "./errors.ts";
import { SEGMENTS } from "./answer_maps.ts";
import { OTHER_MAPS, type OtherMap, type PromptCache, type Target } from "./target.ts";
import { DIGEST, digestOf } from "./target_digest.ts";

/** What a target must look like to be of use. */
export interface TargetShape {
  readonly prompt: readonly number[];
  readonly layers: number;
  readonly heads: number;
  /** Whether it is of an answer, which has several maps. @default {true} */
  readonly answered?: boolean;
}

/** What keys and values must look like to be of use. */
export interface PastShape {
  /** Tokens that each layer holds. */
  readonly tokens: readonly number[];
  /** Numbers of one token's keys in a layer. */
  readonly width: number;
}

/** Shape of the keys and values that a model makes of so many tokens. */
export function pastShape(
  { config: { layerKinds, kvHeads, headDim } }: Pick<HostEngine, "config">,
  tokens: number,
): PastShape {
  return {
    tokens: layerKinds.map(({ window = Infinity }) => Math.min(tokens, window - 1)),
    width: kvHeads * headDim,
  };
}

/** Bytes of a file of keys and values, its header aside. */
export function pastBytes(shape: PastShape): number {
  return 2 * bytesByLayer(shape).reduce((sum, bytes) => sum + bytes, 0);
}

function bytesByLayer({ tokens, width }: PastShape): number[] {
  return tokens.map((count) => count * width * Float16Array.BYTES_PER_ELEMENT);
}

/** Shape of the tensors on disk: a row for each layer where all are equally long. */
function storedShape(bytes: readonly number[]): number[] {
  const [first = 0] = bytes;
  return bytes.every((one) => one === first)
    ? [bytes.length, first]
    : [bytes.reduce((sum, one) => sum + one, 0)];
}

/** Targets on disk, and the prompts' keys and values beside them. */
export interface TargetStore {
  /** Whether there is a whole target of that name and shape. */
  has(key: string, shape: TargetShape): boolean;
  /** Whether the prompt's keys and values are kept, whole and in that shape. */
  hasPast(key: string, shape: PastShape): boolean;
  /**
   * Looks whether the disk has room for so many bytes.
   *
   * @param bytes Of each target that is to be saved.
   * @throws {TrainingError} If it has not.
   */
  demandRoom(bytes: readonly number[]): void;
  /**
   * Saves a target; a run that is killed meanwhile leaves none of that name.
   *
   * @throws {CheckpointError} If the disk refuses.
   */
  save(key: string, target: Target, past?: PromptCache): Promise<void>;
  /**
   * Reads a target. A damaged one is removed, so that it is made again when the run goes on.
   *
   * @throws {TrainingError} If it is missing or damaged.
   */
  load(key: string): Target;
  /**
   * Reads a prompt's keys and values.
   *
   * @throws {TrainingError} As {@linkcode TargetStore.load}.
   */
  loadPast(key: string, shape: PastShape): PromptCache;
  /** Where the files of a target lie, for those who make or take it otherwise: its own comes last. */
  paths(key: string): { readonly target: string; readonly past: string };
}

/** What a killed run left half-written is this old, in milliseconds, before it is removed. */
const ABANDONED = 10 * 60_000;

/**
 * Opens a folder of targets, made where it is missing.
 *
 * @throws {TrainingError} If it cannot be made.
 */
export function openTargetStore(folder: string): TargetStore {
  try {
    Deno.mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw writeError(folder, error);
  }
  removeAbandoned(folder);
  const targetPath = (key: string) => join(folder, `${key}.target.safetensors`);
  const pastPath = (key: string) => join(folder, `${key}.past.safetensors`);
  const reading = <T>(key: string, read: () => T): T => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      for (const path of [targetPath(key), pastPath(key)]) rmSync(path, { force: true });
      throw new TrainingError(
        `Cannot go on training: target ${key} in ${folder} is missing or damaged; 'resume' makes ` +
          "it again and goes on",
        { cause: error, options: ["resume"] },
      );
    }
  };
  return {
    has: (key, shape) => isTarget(targetPath(key), shape),
    hasPast: (key, shape) => isPast(pastPath(key), shape),
    demandRoom(bytes) {
      const needed = bytes.reduce((sum, one) => sum + one, 0);
      const { bavail, bsize, blocks } = statfsSync(folder);
      // Some network folders do not say how large they are.
      if (blocks === 0 || needed <= bavail * bsize) return;
      const [wanted, free] = [needed, bavail * bsize].map((size) => (size / 1e9).toFixed(1));
      throw new TrainingError(
        `Cannot make ${bytes.length} targets in ${folder}: they take ${wanted} GB, ${free} GB are ` +
          "free; free some, give another folder as 'targets', lower 'samples', or set 'recompute'",
        { options: ["targets", "samples", "recompute"] },
      );
    },
    async save(key, { prompt, response, attention, others }, past) {
      // The target comes last: where it is, the keys and values are as well.
      if (past) await savePast(pastPath(key), past);
      const shape = (
        map: { readonly length: number },
      ) => [map.length / prompt.length, prompt.length];
      const halves = others
        ? OTHER_MAPS.map((name) => [name, new Float16Array(others[name])] as const)
        : [];
      await writeSafetensors(targetPath(key), {
        prompt: { shape: [prompt.length], data: prompt },
        response: { shape: [response.length], data: response },
        attention: { shape: shape(attention), data: attention },
        ...Object.fromEntries(halves.map(([name, data]) => [name, { shape: shape(data), data }])),
      }, { [DIGEST]: digestOf([prompt, response, attention, ...halves.map(([, data]) => data)]) });
    },
    load: (key) => reading(key, () => readTarget(targetPath(key))),
    loadPast: (key, shape) => reading(key, () => readPast(pastPath(key), shape)),
    paths: (key) => ({ target: targetPath(key), past: pastPath(key) }),
  };
}

function removeAbandoned(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.endsWith(".tmp")) continue;
    const file = join(folder, name);
    // Another run may be writing into the same folder, or removing the same file.
    const changed = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (Date.now() - changed > ABANDONED) rmSync(file, { force: true });
  }
}

function isTarget(
  path: string,
  { prompt, layers, heads, answered = true }: TargetShape,
): boolean {
  return isWhole(path, (tensors) => {
    const isMap = (name: string, rows: number) =>
      tensors.get(name)?.shape.join() === `${rows * heads},${prompt.length}`;
    return isMap("attention", layers) &&
      (!answered ||
        OTHER_MAPS.every((name) => isMap(name, layers * (name === "segments" ? SEGMENTS : 1)))) &&
      (tensors.get("response")?.bytes ?? 0) > 0 &&
      readInts(path, "prompt").join() === prompt.join();
  });
}

function isPast(path: string, past: PastShape): boolean {
  const shape = storedShape(bytesByLayer(past)).join();
  return isWhole(
    path,
    (tensors) => ["keys", "values"].every((part) => tensors.get(part)?.shape.join() === shape),
  );
}

/**
 * Whether a file is there, as long as its header says, and holds what is expected. Its digest is checked
 * when it is read.
 */
function isWhole(path: string, holds: (tensors: SafetensorsHeader["tensors"]) => boolean): boolean {
  if (!existsSync(path)) return false;
  try {
    const { tensors, metadata } = readSafetensors(path);
    return DIGEST in metadata && holds(tensors);
  } catch (error) {
    if (error instanceof CheckpointError) return false;
    throw error;
  }
}

function readTarget(path: string): Target {
  const attention = readMap(path, "attention");
  const [prompt, response] = [readInts(path, "prompt"), readInts(path, "response")];
  const whole = [prompt, response, attention];
  if (!readSafetensors(path).tensors.has("max")) {
    checkDigest(path, whole);
    return { prompt, response, attention };
  }
  const of = (name: OtherMap) => readMap(path, name);
  const others = { max: of("max"), top: of("top"), segments: of("segments") };
  // They are digested as they lie on disk, in 16 bits.
  checkDigest(path, [...whole, ...OTHER_MAPS.map((name) => new Float16Array(others[name]))]);
  return { prompt, response, attention, others };
}

function readMap(path: string, name: string): Float32Array {
  const { data } = readFloats(path, name);
  // A share of the attention; what it cannot be was never written.
  if (data.every((value) => value >= 0 && value < 1.01)) return data;
  throw new CheckpointError(`Cannot read ${path}: its attention is not one`);
}

/** Refuses numbers that are not those that were written. */
function checkDigest(path: string, tensors: readonly ArrayBufferView[]): void {
  if (readSafetensors(path).metadata[DIGEST] === digestOf(tensors)) return;
  throw new CheckpointError(`Cannot read ${path}: it is not as it was written`);
}

function readInts(path: string, name: string): Int32Array {
  const { data } = readTensor(path, name);
  if (data instanceof Int32Array) return data;
  throw new CheckpointError(`Cannot read tensor "${name}" of ${path}: it must hold I32`);
}

async function savePast(path: string, past: PromptCache): Promise<void> {
  const bytes = past.map(({ keys }) => keys.byteLength);
  const shape = storedShape(bytes);
  const stack = (part: "keys" | "values") => {
    const data = new Uint8Array(bytes.reduce((sum, one) => sum + one, 0));
    let at = 0;
    for (const layer of past) {
      const { buffer, byteOffset, byteLength } = layer[part];
      data.set(new Uint8Array(buffer, byteOffset, byteLength), at);
      at += byteLength;
    }
    return { shape, data };
  };
  const [keys, values] = [stack("keys"), stack("values")];
  const metadata = { [DIGEST]: digestOf([keys.data, values.data]) };
  await writeSafetensors(path, { keys, values }, metadata);
}

function readPast(path: string, past: PastShape): PromptCache {
  const { tensors } = readSafetensors(path);
  const sizes = bytesByLayer(past);
  const whole = sizes.reduce((sum, one) => sum + one, 0);
  const read: Uint8Array<ArrayBuffer>[] = [];
  const [keys = [], values = []] = ["keys", "values"].map((name) => {
    const entry = tensors.get(name);
    if (entry?.bytes !== whole) {
      throw new CheckpointError(
        `Cannot read ${path}: its tensor "${name}" must have ${whole} bytes, it has ${
          entry?.bytes ?? 0
        }`,
      );
    }
    using file = openRange(path);
    const bytes = new Uint8Array(whole);
    file.read(bytes, entry.offset);
    read.push(bytes);
    let at = 0;
    return sizes.map((size) => {
      const ofLayer = new Float16Array(bytes.buffer, at, size / Float16Array.BYTES_PER_ELEMENT);
      at += size;
      return ofLayer;
    });
  });
  checkDigest(path, read);
  return keys.map((ofLayer, layer) => ({
    keys: ofLayer,
    values: values[layer] ?? new Float16Array(),
  }));
}
