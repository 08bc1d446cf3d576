import type { SoftKernel, SoftStepOutputs } from "../kernels/soft_kernel.ts";
import type { ModelConfig } from "../runtime/checkpoint/checkpoint.ts";
import { globalLayers } from "../runtime/checkpoint/layer_kinds.ts";
import { rotaryTables } from "../runtime/rotary/rotary_tables.ts";
import { SOFT_TOKENS_TENSOR } from "../runtime/soft_tokens/read.ts";
import { TrainingError } from "./errors.ts";
import type { TrainingSettings } from "./settings.ts";
import type { PromptCache, Target } from "./target.ts";
import { adaptersOf, type Tensors } from "./trainable.ts";

/** An example as the optimiser sees it. */
export interface PreparedExample {
  readonly target: Target;
  readonly past: PromptCache;
}

/** Runs the soft tokens behind one prompt. */
export type SoftStep = (
  example: PreparedExample,
  tensors: Tensors,
  want: { readonly gradients: boolean; readonly attention: boolean },
) => Promise<SoftStepOutputs>;

/** Joins the kernel with a model's positions and a run's settings. */
export function softStep(
  kernel: SoftKernel,
  config: ModelConfig,
  { tokens, layerWeights, target: kind }: TrainingSettings,
): SoftStep {
  const weights = weightsOf(layerWeights, globalLayers(config).length);
  return ({ target, past }, tensors, { gradients, attention }) => {
    const position = target.prompt.length;
    return kernel.run({
      embeddings: tensors[SOFT_TOKENS_TENSOR] ?? new Float32Array(0),
      adapters: adaptersOf(tensors),
      rotary: rotaryTables(config, { sequence: position + tokens, position, tokens }),
      past,
      target: mapOf(target, kind),
      layerWeights: weights,
      gradients,
      attention,
    });
  };
}

/** The map of a target that soft tokens are compared with. */
function mapOf({ attention, others }: Target, kind: TrainingSettings["target"]): Float32Array {
  if (kind === "mean" || kind === "reconstruct") return attention;
  if (others) return others[kind];
  throw new TrainingError(
    `Cannot train towards '${kind}': the target is of a repetition; give 'target' reconstruct`,
    { options: ["target"] },
  );
}

/** Weights of the judged layers, their mean 1. */
function weightsOf(kind: TrainingSettings["layerWeights"], layers: number): Float32Array {
  return Float32Array.from({ length: layers }, (_, layer) => {
    if (kind === "uniform") return 1;
    const place = kind === "rising" ? layer : layers - 1 - layer;
    return (2 * (place + 0.5)) / layers;
  });
}
