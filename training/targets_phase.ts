import type { Engine } from "../runtime/engine/engine.ts";
import { pause } from "../runtime/engine/pause.ts";
import { makeTarget } from "./make_target.ts";
import type { TrainingPrompt } from "./prompts.ts";
import { pastBytes, pastShape, type TargetStore } from "./target_store.ts";
import { targetKey } from "./target.ts";

/** What {@linkcode makeTargets} works on. */
export interface TargetsRequest {
  readonly prompts: readonly TrainingPrompt[];
  readonly engine: Engine;
  readonly model: { readonly fingerprint: string; readonly precision: string };
  readonly store: TargetStore;
  /** Whether the prompts' keys and values are kept on disk. */
  readonly keepPast: boolean;
  readonly signal?: AbortSignal;
  /** Is told how many targets there are, and how many were there before. */
  readonly onProgress?: (done: number, total: number, found: number) => void;
}

/**
 * The first phase: answers and their attention, one prompt at a time. What an earlier run made is
 * found by its name; each target is saved before the next is begun.
 *
 * @returns Names of the targets, in the order of the prompts.
 * @throws {TrainingError} If the disk has no room for what is still to be made.
 */
export async function makeTargets(request: TargetsRequest): Promise<readonly string[]> {
  const { prompts, engine, model, store, keepPast, signal, onProgress } = request;
  const { layers, heads } = engine.config;
  const planned: { key: string; prompt: TrainingPrompt; found: boolean }[] = [];
  for (const prompt of prompts) {
    await pause(signal);
    const { ids, response } = prompt;
    const key = targetKey(model, ids, response);
    const found = store.has(key, { prompt: ids, layers, heads }) &&
      (!keepPast || store.hasPast(key, pastShape(engine, ids.length)));
    planned.push({ key, prompt, found });
  }
  const missing = planned.filter(({ found }) => !found);
  store.demandRoom(missing.map(({ prompt: { ids } }) => bytesOf(engine, ids.length, keepPast)));
  const found = planned.length - missing.length;
  onProgress?.(found, planned.length, found);
  for (const [index, { key, prompt: { ids, response } }] of missing.entries()) {
    await pause(signal);
    const { target, past } = await makeTarget(engine, ids, response, signal ? { signal } : {});
    await store.save(key, target, keepPast ? past : undefined);
    onProgress?.(found + index + 1, planned.length, found);
  }
  return planned.map(({ key }) => key);
}

function bytesOf(engine: Engine, tokens: number, keepPast: boolean): number {
  const { layers, heads } = engine.config;
  const attention = layers * heads * tokens * Float32Array.BYTES_PER_ELEMENT;
  return attention + (keepPast ? pastBytes(pastShape(engine, tokens)) : 0);
}
