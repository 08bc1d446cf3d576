import { createHash } from "node:crypto";
import * as v from "npm:valibot@1.5.0";
import { writeSafetensors } from "../runtime/checkpoint/safetensors.ts";
import { readSafetensors } from "../runtime/checkpoint/safetensors_header.ts";
import { isRecord } from "../runtime/checkpoint/read_json.ts";
import { CheckpointError } from "../runtime/errors.ts";
import { checkRecord } from "../runtime/schema.ts";
import { replaceAtomically } from "../runtime/atomic_file.ts";
import { TrainingError } from "./errors.ts";

/** What JSON can say, and numbers that are not finite. */
export type StateValue =
  | null
  | boolean
  | number
  | string
  | readonly StateValue[]
  | { readonly [name: string]: StateValue };

/** All that a training run needs to go on. */
export interface RunState {
  /** Optimiser steps taken. */
  readonly step: number;
  /** Hash of the settings; a run goes on only with the same ones. */
  readonly settings: string;
  /** Parameters and moments, by name. Shapes are the caller's business. */
  readonly tensors: Readonly<Record<string, Float32Array>>;
  /** Best loss, state of random generators and the like; infinite numbers and NaN survive. */
  readonly numbers: Readonly<Record<string, StateValue>>;
}

const FORMAT = "kvjudge-state-1" as const;

const METADATA = v.object({
  format: v.literal(FORMAT),
  step: v.pipe(v.string(), v.digits("a count of steps")),
  settings: v.string(),
  numbers: v.string(),
  checksum: v.string(),
});

/**
 * Saves the state of a run in a safetensors file. The state before it stays beside it as
 * `<path>.previous`. A process that is killed at any moment leaves at least one readable state.
 * One writer at a time.
 *
 * @param path File; its folder must exist.
 * @throws {StorageError} If the disk refuses.
 *
 * @example
 * ```ts
 * import { loadState, saveState } from "./state.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = await Deno.makeTempDir();
 * const path = `${folder}/state.safetensors`;
 * const state = {
 *   step: 12,
 *   settings: "abc",
 *   tensors: { soft_tokens: Float32Array.of(0.1, 0.2) },
 *   numbers: { bestLoss: 0.5, random: [1, -2] },
 * };
 * await saveState(path, state);
 * assertEquals(await loadState(path, "abc"), state);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function saveState(path: string, state: RunState): Promise<void> {
  const { step, settings } = state;
  const numbers = JSON.stringify(state.numbers, writeNumber);
  const tensors = Object.fromEntries(
    Object.entries(state.tensors).map(([name, data]) => [name, { shape: [data.length], data }]),
  );
  const metadata = { format: FORMAT, step: `${step}`, settings, numbers };
  const checksum = checksumOf(metadata, new Map(Object.entries(state.tensors)));
  await replaceAtomically(
    path,
    (temporary) => writeSafetensors(temporary, tensors, { ...metadata, checksum }),
    async () => {
      // A damaged file must not take the place of a good one.
      if (await readState(path)) await Deno.rename(path, previousOf(path));
    },
  );
}

/**
 * Loads the newest readable state, which is the last one saved unless that was damaged since.
 *
 * @param settings Hash of the settings of the run that wants to go on.
 * @returns Nothing if there is no readable state.
 * @throws {TrainingError} If the state was made with other settings, or may not be read.
 */
export async function loadState(path: string, settings: string): Promise<RunState | undefined> {
  let state: RunState | undefined;
  for (const file of statesOf(path)) state ??= await readState(file);
  if (!state || state.settings === settings) return state;
  throw new TrainingError(
    `Cannot resume from ${path}: it was made with other settings, data or another model; resume ` +
      "with the same ones, or start again into another file",
  );
}

/** The files that a state may lie in: its own, and that of the state before. */
export function statesOf(path: string): readonly string[] {
  return [path, previousOf(path)];
}

function previousOf(path: string): string {
  return `${path}.previous`;
}

/** A whole and undamaged state, or nothing. */
async function readState(path: string): Promise<RunState | undefined> {
  const bytes = await readBytes(path);
  if (!bytes) return undefined;
  const header = headerOf(path);
  if (!header) return undefined;
  const tensors = new Map<string, Float32Array>();
  for (const [name, { dtype, offset, bytes: length }] of header.tensors) {
    if (dtype !== "F32") return undefined;
    tensors.set(name, new Float32Array(bytes.slice(offset, offset + length).buffer));
  }
  const checked = checkRecord(METADATA, header.metadata);
  if ("problem" in checked) return undefined;
  const { checksum, ...described } = checked.value;
  if (checksum !== checksumOf(described, tensors)) return undefined;
  const { step, settings, numbers } = described;
  return {
    step: Number(step),
    settings,
    tensors: Object.fromEntries(tensors),
    numbers: JSON.parse(numbers, readNumber),
  };
}

function headerOf(path: string): ReturnType<typeof readSafetensors> | undefined {
  try {
    return readSafetensors(path);
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}

async function readBytes(path: string): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    const reason = error instanceof Error ? error.message : error;
    throw new TrainingError(`Cannot read the state ${path}: ${reason}; make it readable`, {
      cause: error,
    });
  }
}

function checksumOf(
  { format, step, settings, numbers }: Omit<v.InferOutput<typeof METADATA>, "checksum">,
  tensors: ReadonlyMap<string, Float32Array>,
): string {
  const sorted = [...tensors].sort(([a], [b]) => a < b ? -1 : 1);
  const sizes = sorted.map(([name, { length }]) => [name, length]);
  const hash = createHash("sha256")
    .update(JSON.stringify([format, step, settings, numbers, sizes]));
  for (const [, { buffer, byteOffset, byteLength }] of sorted) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest("hex");
}

/** JSON has no way to write infinite numbers and NaN. */
const MARK = "$number";

function writeNumber(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? { [MARK]: `${value}` } : value;
}

function readNumber(_key: string, value: unknown): unknown {
  return isRecord(value) && typeof value[MARK] === "string" ? Number(value[MARK]) : value;
}
