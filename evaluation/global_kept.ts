import type { ModelConfig } from "../runtime/checkpoint/checkpoint.ts";
import { globalLayers } from "../runtime/checkpoint/layer_kinds.ts";
import type { KeptTokens } from "../runtime/evict/choose.ts";

/** What is kept of the layers that are evicted: a window keeps what it holds, whatever the policy. */
export function globalKept(kept: KeptTokens, config: Pick<ModelConfig, "layerKinds">): KeptTokens {
  return globalLayers(config).map((layer) => kept[layer] ?? []);
}
