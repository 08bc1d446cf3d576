import { adapterTensors, type Projection, PROJECTIONS } from "../kernels/adapters.ts";
import type { SoftAdapters } from "../policies/policy.ts";
import type { ModelConfig } from "../runtime/checkpoint/checkpoint.ts";
import { noise } from "./_close.ts";
import type { RandomTensor } from "./_random_checkpoint.ts";

/** What adapters to make. */
export interface RandomAdapters {
  readonly rank: number;
  /** @default {all} */
  readonly projections?: readonly Projection[];
  /** Largest number of each `b`; 0 makes adapters that do nothing. @default {0.3} */
  readonly reach?: number;
}

/** Adapters that fit a model; the same every time. */
export function randomAdapters(
  config: ModelConfig,
  { rank, projections = PROJECTIONS, reach = 0.3 }: RandomAdapters,
): SoftAdapters {
  const model = { ...config, layers: { length: config.layers } };
  const tensors: Record<string, Float32Array> = {};
  for (const { name, shape: [rows, columns] } of adapterTensors(model, { rank, projections })) {
    const scale = name.endsWith(".b") ? reach : 0.3;
    tensors[name] = noise(rows * columns, Object.keys(tensors).length).map((x) => x * scale);
  }
  return { rank, tensors };
}

const WEIGHTS: Readonly<Record<Projection, string>> = {
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  o: "self_attn.o_proj",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
};

/** Adds `a·b` of every adapter to the weights that it belongs to, which are `[out, in]`. */
export function mergeAdapters(
  weights: Map<string, RandomTensor>,
  { rank, tensors }: SoftAdapters,
): void {
  for (const [name, a] of Object.entries(tensors)) {
    const [, layer, projection, part] = name.split(".");
    const word = PROJECTIONS.find((one) => one === projection);
    if (part !== "a" || !word) continue;
    const target = weights.get(`model.layers.${layer}.${WEIGHTS[word]}.weight`);
    const b = tensors[name.replace(/a$/, "b")];
    if (!target || !b) throw new Error(`Cannot merge ${name}`);
    const inputs = a.length / rank;
    const outputs = b.length / rank;
    for (let output = 0; output < outputs; output++) {
      for (let input = 0; input < inputs; input++) {
        let added = 0;
        for (let r = 0; r < rank; r++) {
          added += (a[input * rank + r] ?? NaN) * (b[r * outputs + output] ?? NaN);
        }
        const at = output * inputs + input;
        target.data[at] = (target.data[at] ?? NaN) + added;
      }
    }
  }
}
