import { globalLayers } from "../runtime/checkpoint/layer_kinds.ts";
import type { HostEngine } from "../runtime/engine/host/host_engine.ts";
import { pause } from "../runtime/engine/pause.ts";
import type { Precision } from "../runtime/weights/precisions.ts";
import { makeTarget, type TargetMaker } from "./make_target.ts";
import type { TrainingPrompt } from "./prompts.ts";
import { pastBytes, pastShape, type TargetStore } from "./target_store.ts";
import { SEGMENTS } from "./answer_maps.ts";
import { OTHER_MAPS, targetKey } from "./target.ts";

/** What {@linkcode planTargets} works on. */
export interface TargetsRequest extends TargetMaker {
  readonly prompts: readonly TrainingPrompt[];
  readonly model: { readonly fingerprint: string; readonly precision: Precision };
  readonly store: TargetStore;
  /** Whether the prompts' keys and values are kept on disk. */
  readonly keepPast: boolean;
}

/** Which targets a run needs, and which of them are still to be made. */
export interface TargetsPlan extends TargetsRequest {
  /** Names of the targets, in the order of the prompts. */
  readonly keys: readonly string[];
  /** Places of those that are to be made. */
  readonly missing: readonly number[];
}

/**
 * Looks up by their names what earlier runs made; makes nothing.
 *
 * @throws {TrainingError} If the disk has no room for what is still to be made.
 */
export function planTargets(request: TargetsRequest): TargetsPlan {
  const { prompts, engine, model, store, keepPast } = request;
  const keys = prompts.map(({ ids, response }) => targetKey(model, ids, response));
  const missing = [...prompts.keys()].filter((place) => !hasTarget({ ...request, keys }, place));
  store.demandRoom(
    missing.flatMap((place) => prompts.slice(place, place + 1))
      .map((prompt) => bytesOf(engine, prompt, keepPast)),
  );
  return { ...request, keys, missing };
}

/** How {@linkcode makeTargets} is watched and stopped. */
export interface MakeTargetsOptions {
  readonly signal?: AbortSignal;
  /** Called with how many targets there are, and how many were there before. */
  readonly onProgress?: (done: number, total: number, found: number) => void;
}

/** Makes what a plan lacks. */
export type TargetsBy = (
  plan: TargetsPlan,
  options: MakeTargetsOptions & {
    /** The model as it was given, and where its files lie. */
    readonly source: { readonly name: string; readonly path: string };
  },
) => Promise<void>;

/**
 * The first phase: answers and their attention, one prompt at a time. Each target is saved before the
 * next is begun.
 */
export async function makeTargets(
  { prompts, engine, tokenizer, store, keepPast, keys, missing }: TargetsPlan,
  { signal, onProgress }: MakeTargetsOptions = {},
): Promise<void> {
  const found = keys.length - missing.length;
  onProgress?.(found, keys.length, found);
  for (const [index, place] of missing.entries()) {
    const prompt = prompts[place];
    if (!prompt) continue;
    await pause(signal);
    const { ids, response } = prompt;
    const { target, past } = await makeTarget(
      { engine, tokenizer },
      ids,
      response,
      signal ? { signal } : {},
    );
    await store.save(keys[place] ?? "", target, keepPast ? past : undefined);
    onProgress?.(found + index + 1, keys.length, found);
  }
}

/** Whether the target of a prompt is there, whole and of the right shape. */
export function hasTarget(
  { engine, store, keepPast, keys, prompts }: Pick<
    TargetsPlan,
    "engine" | "store" | "keepPast" | "keys" | "prompts"
  >,
  place: number,
): boolean {
  const { ids = [], response } = prompts[place] ?? {};
  const answered = response?.kind !== "repeated";
  const key = keys[place] ?? "";
  const { heads } = engine.config;
  const layers = globalLayers(engine.config).length;
  return store.has(key, { prompt: ids, layers, heads, answered }) &&
    (!keepPast || store.hasPast(key, pastShape(engine, ids.length)));
}

function bytesOf(
  engine: HostEngine,
  { ids: { length: tokens }, response }: TrainingPrompt,
  keepPast: boolean,
): number {
  const { heads } = engine.config;
  const layers = globalLayers(engine.config).length;
  // One map in floats, those of an answer besides in halves.
  const others = response.kind === "repeated" ? 0 : OTHER_MAPS.length - 1 + SEGMENTS;
  const bytes = Float32Array.BYTES_PER_ELEMENT + others * Float16Array.BYTES_PER_ELEMENT;
  const attention = layers * heads * tokens * bytes;
  return attention + (keepPast ? pastBytes(pastShape(engine, tokens)) : 0);
}
