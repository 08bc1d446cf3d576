import type { ModelConfig } from "../runtime/checkpoint/checkpoint.ts";
import type { HostEngine } from "../runtime/engine/host/host_engine.ts";
import { recomputePast } from "./make_target.ts";
import type { PreparedExample } from "./soft_step.ts";
import { pastShape, type TargetStore } from "./target_store.ts";

/**
 * Reads examples as the optimiser asks for them, one at a time: memory does not grow with the data.
 *
 * @param config Of the model that made them.
 * @param engine Makes keys and values again that were not kept on disk.
 */
export function exampleLoader(
  store: TargetStore,
  config: ModelConfig,
  engine: HostEngine | undefined,
  signal?: AbortSignal,
): (key: string) => Promise<PreparedExample> {
  return async (key) => {
    const target = store.load(key);
    const shape = pastShape({ config }, target.prompt.length);
    if (!engine || store.hasPast(key, shape)) return { target, past: store.loadPast(key, shape) };
    const past = await recomputePast(engine, [...target.prompt], signal ? { signal } : {});
    return { target, past };
  };
}
