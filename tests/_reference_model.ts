/**
 * A slow forward pass in plain TypeScript, in double precision and without ONNX: what the fast one is
 * checked against. Checked itself against the golden answers of transformers.
 *
 * @module
 */
import type { Checkpoint, ModelConfig, RopeScaling } from "../runtime/checkpoint/checkpoint.ts";
import type { FamilyTensor } from "../runtime/checkpoint/families/family.ts";
import { readRows } from "../runtime/checkpoint/read_rows.ts";
import { weightName } from "../runtime/checkpoint/tensor_names.ts";

/** What one layer computed for the new tokens. */
export interface ReferenceLayer {
  /** Rotated queries, `[n, heads, headDim]`. */
  readonly q: Float32Array;
  /** Rotated keys of the new tokens, `[n, kvHeads, headDim]`. */
  readonly k: Float32Array;
  /** Values of the new tokens, `[n, kvHeads, headDim]`. */
  readonly v: Float32Array;
  /** Attention probabilities, `[heads, n, past + n]`; 0 where a token cannot see. */
  readonly attention: Float32Array;
}

/** Keys and values of all tokens so far; never changed in place. */
export interface ReferenceCache {
  /** Tokens so far: the position of the next one. */
  readonly length: number;
  /** Longest sequence that the rotary frequencies were made for (dynamic scaling). */
  readonly seen: number;
  /** Per layer, `[length, kvHeads, headDim]`. */
  readonly keys: readonly Float32Array[];
  readonly values: readonly Float32Array[];
}

export interface ReferenceOutput {
  /** `[n, vocabulary]`. */
  readonly logits: Float32Array;
  readonly layers: readonly ReferenceLayer[];
  readonly cache: ReferenceCache;
}

export interface RunOptions {
  /** Tokens before these. @default {none} */
  readonly cache?: ReferenceCache;
  /**
   * Length of the sequence that dynamic RoPE scaling is to reckon with. Left out, a call reckons with
   * the longest sequence so far including its own tokens, as a forward call of transformers does:
   * keys that are cached keep the frequencies they were rotated with. A prompt that is given in chunks
   * therefore equals the whole prompt only if each chunk is given the length of the whole prompt
   * here; without dynamic scaling, or within the original context, it makes no difference.
   *
   * @default {the largest of what the cache has seen and the tokens so far}
   */
  readonly sequenceLength?: number;
  /** Whether the new tokens may see a cached one: what eviction hides. @default {always} */
  readonly visible?: (layer: number, kvHead: number, index: number) => boolean;
}

export interface ReferenceModel {
  readonly config: ModelConfig;
  /** Embeddings of tokens, `[n, hidden]`. */
  embed(ids: ArrayLike<number>): Float32Array;
  /** Runs tokens, or embeddings `[n, hidden]` in place of tokens. */
  run(input: readonly number[] | Int32Array | Float32Array, options?: RunOptions): ReferenceOutput;
  /** The greedy continuation of a prompt, with the full cache. */
  greedy(ids: readonly number[] | Int32Array, steps: number): number[];
}

/** Reads all weights of a checkpoint into memory. */
export function referenceModel(checkpoint: Checkpoint): ReferenceModel {
  const { config, family } = checkpoint;
  const { hidden, layers, vocabulary, heads, kvHeads, headDim } = config;
  const weights = new Map(
    [...checkpoint.tensors].map(([name, tensor]) => [name, readRows(tensor)] as const),
  );
  const weight = (name: string) => {
    const found = weights.get(name);
    if (!found) throw new Error(`No tensor ${name}`);
    return found;
  };
  /** `[n, in] × [out, in]ᵀ + bias`. */
  const linear = (input: Float64Array, name: string, outputs: number): Float64Array =>
    product(input, weight(`${name}.weight`), outputs, weights.get(`${name}.bias`));
  const norm = (
    input: Float64Array,
    tensor: FamilyTensor | undefined,
    width: number,
    layer?: number,
  ) => tensor ? rmsNorm(input, weight(weightName(tensor, layer)), width, config.rmsEpsilon) : input;
  const role = family.layer;

  /** As the step graph takes embeddings in place of ids: scaled. */
  const embed = (ids: ArrayLike<number>): Float32Array => {
    const table = weight("model.embed_tokens.weight");
    const rows = new Float32Array(ids.length * hidden);
    for (let row = 0; row < ids.length; row++) {
      const id = at(ids, row);
      if (!(id >= 0 && id < vocabulary)) throw new RangeError(`No token ${id}`);
      for (let i = 0; i < hidden; i++) {
        rows[row * hidden + i] = at(table, id * hidden + i) * config.embeddingScale;
      }
    }
    return rows;
  };

  const run: ReferenceModel["run"] = (input, options = {}) => {
    const past = options.cache ?? emptyCache(layers);
    let states: Float64Array = Float64Array.from(
      input instanceof Float32Array ? input : embed(input),
    );
    const count = states.length / hidden;
    const length = past.length + count;
    const seen = Math.max(past.seen, options.sequenceLength ?? length);
    const ropes = config.ropes.map((_, rope) => inverseFrequencies(config, seen, rope));
    const outputs: ReferenceLayer[] = [];
    const keys: Float32Array[] = [];
    const values: Float32Array[] = [];
    for (let layer = 0; layer < layers; layer++) {
      const prefix = `model.layers.${layer}`;
      const attended = `${prefix}.self_attn`;
      const before = norm(states, role.attentionNorm, hidden, layer);
      let q = linear(before, `${attended}.q_proj`, heads * headDim);
      let k = linear(before, `${attended}.k_proj`, kvHeads * headDim);
      const v = linear(before, `${attended}.v_proj`, kvHeads * headDim);
      q = norm(q, role.queryNorm, headDim, layer);
      k = norm(k, role.keyNorm, headDim, layer);
      const { window, rope } = config.layerKinds[layer] ?? {};
      const frequencies = rope === undefined ? undefined : ropes[rope];
      const factor = attentionFactor(config.ropes[rope ?? 0]?.scaling);
      if (frequencies) {
        rotate(q, heads, past.length, frequencies, factor);
        rotate(k, kvHeads, past.length, frequencies, factor);
      }
      const allKeys = joined(past.keys[layer], k);
      const allValues = joined(past.values[layer], v);
      const { mixed, attention } = attend(config, q, allKeys, allValues, {
        past: past.length,
        window: window ?? Infinity,
        visible: (kvHead, index) => options.visible?.(layer, kvHead, index) ?? true,
      });
      const attentionOutput = linear(mixed, `${attended}.o_proj`, hidden);
      states = sum(states, norm(attentionOutput, role.attentionOutputNorm, hidden, layer));
      const after = norm(states, role.mlpNorm, hidden, layer);
      const gate = linear(after, `${prefix}.mlp.gate_proj`, config.intermediate);
      const up = linear(after, `${prefix}.mlp.up_proj`, config.intermediate);
      const gated = gate.map((value, i) => activated(config, value) * at(up, i));
      const mlpOutput = linear(gated, `${prefix}.mlp.down_proj`, hidden);
      states = sum(states, norm(mlpOutput, role.mlpOutputNorm, hidden, layer));
      keys.push(allKeys);
      values.push(allValues);
      outputs.push({
        q: Float32Array.from(q),
        k: Float32Array.from(k),
        v: Float32Array.from(v),
        attention,
      });
    }
    const final = norm(states, family.finalNorm, hidden);
    const head = weight(config.tied ? "model.embed_tokens.weight" : "lm_head.weight");
    return {
      logits: Float32Array.from(product(final, head, vocabulary)),
      layers: outputs,
      cache: { length, seen, keys, values },
    };
  };

  const greedy: ReferenceModel["greedy"] = (ids, steps) => {
    const made: number[] = [];
    let { logits, cache } = run(ids);
    for (let step = 0; step < steps; step++) {
      const best = argmax(logits.subarray(logits.length - vocabulary));
      made.push(best);
      if (step + 1 < steps) ({ logits, cache } = run([best], { cache }));
    }
    return made;
  };
  return { config, embed, run, greedy };
}

/**
 * Rotary frequencies, `[headDim / 2]`.
 *
 * @param sequence Length of the sequence, for dynamic scaling.
 * @param rope Which of the model's.
 */
export function inverseFrequencies(
  { headDim, ropes }: Pick<ModelConfig, "headDim" | "ropes">,
  sequence = 0,
  rope = 0,
): Float64Array {
  const settings = ropes[rope];
  if (!settings) throw new RangeError(`No RoPE ${rope}`);
  const { theta, scaling } = settings;
  const base = theta * baseFactor(scaling, headDim, sequence);
  return Float64Array.from(
    { length: headDim / 2 },
    (_, index) => scaled(scaling, base ** (-2 * index / headDim), index, sequence),
  );
}

function baseFactor(scaling: RopeScaling, headDim: number, sequence: number): number {
  if (scaling.kind !== "dynamic") return 1;
  const { factor, originalContext } = scaling;
  const ratio = Math.max(sequence, originalContext) / originalContext;
  return (factor * ratio - (factor - 1)) ** (headDim / (headDim - 2));
}

function scaled(
  scaling: RopeScaling,
  frequency: number,
  index: number,
  sequence: number,
): number {
  switch (scaling.kind) {
    case "none":
    case "dynamic":
      return frequency;
    case "linear":
      return frequency / scaling.factor;
    case "factors":
      return frequency / at(scaling.factors, index);
    case "longrope":
      return sequence > scaling.originalContext
        ? frequency / at(scaling.longFactors, index)
        : frequency / at(scaling.shortFactors, index);
    case "llama3": {
      const { factor, lowFrequencyFactor, highFrequencyFactor, originalContext } = scaling;
      const turns = originalContext * frequency / (2 * Math.PI);
      if (turns < lowFrequencyFactor) return frequency / factor;
      if (turns > highFrequencyFactor) return frequency;
      const share = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
      return frequency * (share + (1 - share) / factor);
    }
  }
}

/** Index of the largest value, the first of equals. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) {
    if (at(values, index) > at(values, best)) best = index;
  }
  return best;
}

function attend(
  { heads, kvHeads, headDim, attentionScale }: ModelConfig,
  q: Float64Array,
  keys: Float32Array,
  values: Float32Array,
  { past, window, visible }: {
    past: number;
    window: number;
    visible: (kvHead: number, index: number) => boolean;
  },
): { mixed: Float64Array; attention: Float32Array } {
  const total = keys.length / (kvHeads * headDim);
  const count = total - past;
  const mixed = new Float64Array(q.length);
  const attention = new Float32Array(heads * count * total);
  for (let head = 0; head < heads; head++) {
    const kvHead = Math.floor(head / (heads / kvHeads));
    for (let query = 0; query < count; query++) {
      const from = (query * heads + head) * headDim;
      const weights = new Float64Array(total);
      let normaliser = 0;
      const scores = Array.from({ length: past + query + 1 }, (_, index) => {
        if (index < past && !visible(kvHead, index)) return -Infinity;
        if (past + query - index >= window) return -Infinity;
        let score = 0;
        for (let d = 0; d < headDim; d++) {
          score += at(q, from + d) * at(keys, (index * kvHeads + kvHead) * headDim + d);
        }
        return score * attentionScale;
      });
      const largest = scores.reduce((a, b) => Math.max(a, b));
      scores.forEach((score, index) => normaliser += weights[index] = Math.exp(score - largest));
      for (let index = 0; index <= past + query; index++) {
        const probability = at(weights, index) / normaliser;
        attention[(head * count + query) * total + index] = probability;
        for (let d = 0; d < headDim; d++) {
          mixed[from + d] = at(mixed, from + d) +
            probability * at(values, (index * kvHeads + kvHead) * headDim + d);
        }
      }
    }
  }
  return { mixed, attention };
}

/** What LongRoPE multiplies rotated queries and keys by. */
function attentionFactor(scaling: RopeScaling | undefined): number {
  return scaling?.kind === "longrope" ? scaling.attentionFactor : 1;
}

function activated({ activation }: ModelConfig, x: number): number {
  if (activation === "silu") return x / (1 + Math.exp(-x));
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

function rotate(
  x: Float64Array,
  heads: number,
  start: number,
  frequencies: Float64Array,
  factor: number,
): void {
  const half = frequencies.length;
  for (let row = 0; row < x.length / (2 * half); row++) {
    const position = start + Math.floor(row / heads);
    for (let index = 0; index < half; index++) {
      const cos = factor * Math.cos(position * at(frequencies, index));
      const sin = factor * Math.sin(position * at(frequencies, index));
      const low = row * 2 * half + index;
      const [a, b] = [at(x, low), at(x, low + half)];
      x[low] = a * cos - b * sin;
      x[low + half] = b * cos + a * sin;
    }
  }
}

function rmsNorm(
  x: Float64Array,
  weight: Float32Array,
  width: number,
  epsilon: number,
): Float64Array {
  const normed = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += width) {
    let squares = 0;
    for (let i = 0; i < width; i++) squares += at(x, row + i) ** 2;
    const scale = 1 / Math.sqrt(squares / width + epsilon);
    for (let i = 0; i < width; i++) normed[row + i] = at(x, row + i) * scale * at(weight, i);
  }
  return normed;
}

function product(
  input: Float64Array,
  weight: Float32Array,
  outputs: number,
  bias?: Float32Array,
): Float64Array {
  const width = weight.length / outputs;
  const rows = input.length / width;
  const result = new Float64Array(rows * outputs);
  for (let row = 0; row < rows; row++) {
    for (let output = 0; output < outputs; output++) {
      let total = bias ? at(bias, output) : 0;
      for (let i = 0; i < width; i++) {
        total += at(input, row * width + i) * at(weight, output * width + i);
      }
      result[row * outputs + output] = total;
    }
  }
  return result;
}

function sum(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, index) => value + at(b, index));
}

function joined(past: Float32Array | undefined, added: Float64Array): Float32Array {
  const all = new Float32Array((past?.length ?? 0) + added.length);
  if (past) all.set(past);
  all.set(added, past?.length ?? 0);
  return all;
}

function emptyCache(layers: number): ReferenceCache {
  const none = Array.from({ length: layers }, () => new Float32Array(0));
  return { length: 0, seen: 0, keys: none, values: none };
}

function at(values: ArrayLike<number>, index: number): number {
  return values[index] ?? NaN;
}
