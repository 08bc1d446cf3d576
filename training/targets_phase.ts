import type { Engine } from "../runtime/engine/engine.ts";
import { pause } from "../runtime/engine/pause.ts";
import { makeTarget } from "./make_target.ts";
import type { TrainingPrompt } from "./prompts.ts";
import type { TargetStore } from "./target_store.ts";
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
 */
export async function makeTargets(request: TargetsRequest): Promise<readonly string[]> {
  const { prompts, engine, model, store, keepPast, signal, onProgress } = request;
  const keys = prompts.map(({ ids, response }) => targetKey(model, ids, response));
  let found = 0;
  for (const [index, { ids, response }] of prompts.entries()) {
    const key = keys[index] ?? "";
    await pause(signal);
    if (store.has(key) && (!keepPast || store.hasPast(key))) found++;
    else {
      const options = signal ? { signal } : {};
      const { target, past } = await makeTarget(engine, ids, response, options);
      await store.save(key, target, keepPast ? past : undefined);
    }
    onProgress?.(index + 1, prompts.length, found);
  }
  return keys;
}
