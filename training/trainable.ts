import { type AdaptedModel, adapterPairs } from "../kernels/adapters.ts";
import { createPrng } from "../policies/_random.ts";
import { SOFT_TOKENS_TENSOR } from "../runtime/soft_tokens/read.ts";
import type { TrainingSettings } from "./settings.ts";

/** What is trained, by name: the soft tokens, and the adapters where there are any. */
export type Tensors = Readonly<Record<string, Float32Array>>;

/** Starts the trained tensors: adapters begin as a random `a` and a `b` of zeros, so they do nothing. */
export function initialTensors(
  embeddings: Float32Array,
  model: AdaptedModel,
  { adapters, seed }: TrainingSettings,
): Tensors {
  const tensors: Record<string, Float32Array> = { [SOFT_TOKENS_TENSOR]: embeddings };
  if (!adapters) return tensors;
  const random = createPrng(seed, 0x10a4);
  for (const { a, b } of adapterPairs(model, adapters)) {
    const reach = Math.sqrt(3 / a.shape[0]);
    const length = a.shape[0] * a.shape[1];
    tensors[a.name] = Float32Array.from({ length }, () => (2 * random() - 1) * reach);
    tensors[b.name] = new Float32Array(b.shape[0] * b.shape[1]);
  }
  return tensors;
}

/** The adapters among the trained tensors. */
export function adaptersOf(tensors: Tensors): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).filter(([name]) => name !== SOFT_TOKENS_TENSOR),
  );
}
