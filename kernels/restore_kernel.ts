import { buildRestoreGraph, droppedName, type RestoreGraphOptions } from "./restore_graph.ts";
import type { RotaryRows } from "./rope.ts";
import { rotaryFeeds } from "./rotary_inputs.ts";
import { createKernel, flag, floats, floatsOf, integers, type Tensor } from "./session.ts";
import { pastMask } from "./soft_attention.ts";
import { gradientName, maskName } from "./soft_graph.ts";
import type { StepModel } from "./step_model.ts";

/** What one training step reads. */
export interface RestoreStepInputs {
  /** `[tokens, hidden]`. */
  readonly embeddings: Float32Array;
  /** Tokens that follow, as many as the kernel takes: shorter answers end with any. */
  readonly ids: readonly number[];
  /** Rotary tables of soft tokens and of those that follow, one for each of the model's. */
  readonly rotary: readonly RotaryRows[];
  /** Cached keys and values of each layer, `[P, kvHeads · headDim]`; layers that slide hold their window. */
  readonly past: readonly { readonly keys: Float32Array; readonly values: Float32Array }[];
  /** Indices that stay, `[layer][KV head]`; those of layers that slide are not looked at. */
  readonly kept: readonly (readonly Int32Array[])[];
  /** What the full cache predicts behind each token that follows, `[follows, vocabulary]`. */
  readonly target: Float32Array;
  /** Weight of each of them in the loss: 0 where an answer has ended. */
  readonly weights: Float32Array;
  /** Whether the gradient is wanted. @default {true} */
  readonly gradients?: boolean;
}

/** What one training step gives. */
export interface RestoreStepOutputs {
  readonly loss: number;
  /** Of the loss by the embeddings, `[tokens, hidden]`; empty unless wanted. */
  readonly gradient: Float32Array;
}

/** Forward and backward pass of soft tokens that restore, loaded. */
export interface RestoreKernel extends AsyncDisposable {
  run(inputs: RestoreStepInputs): Promise<RestoreStepOutputs>;
}

/** How a restore kernel is made. */
export interface RestoreKernelOptions extends RestoreGraphOptions {
  readonly threads: number;
}

/** Far below any logit, and 0 times it is 0. */
const HIDDEN = -1e9;

/** Loads the training step of a model. Its weights are frozen and read as they lie. */
export async function createRestoreKernel(
  model: StepModel,
  { threads, ...options }: RestoreKernelOptions,
): Promise<RestoreKernel> {
  const kernel = await createKernel(buildRestoreGraph(model, options), { threads, spinning: true });
  return {
    async run(inputs) {
      const { gradients = true } = inputs;
      const outputs = await kernel.run(feedsOf(model, options, inputs), [
        "loss",
        ...(gradients ? [gradientName("embeddings")] : []),
      ]);
      return {
        loss: floatsOf(outputs.loss)[0] ?? NaN,
        gradient: gradients ? floatsOf(outputs[gradientName("embeddings")]) : new Float32Array(0),
      };
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

function feedsOf(
  { hidden, kvHeads, headDim, layerKinds, vocabulary }: StepModel,
  { tokens, follows }: RestoreGraphOptions,
  { embeddings, ids, rotary, past, kept, target, weights, gradients = true }: RestoreStepInputs,
): Record<string, Tensor> {
  const width = kvHeads * headDim;
  const all = tokens + follows;
  const feeds: Record<string, Tensor> = {
    embeddings: sized("embeddings", embeddings, [tokens, hidden]),
    ids: integers(ids.length === follows ? ids : fail("ids", ids.length, `${follows}`)),
    ...rotaryFeeds(rotary, [all, headDim / 2]),
    target: sized("target", target, [follows, vocabulary]),
    row_weights: sized("weights", weights, [follows, 1]),
    gradients: flag(gradients),
  };
  layerKinds.forEach(({ window }, layer) => {
    const { keys = new Float32Array(), values = new Float32Array() } = past[layer] ?? {};
    const length = keys.length / width;
    if (!(length >= 1)) fail(`past_keys.${layer}`, keys.length, `a row of ${width} at least`);
    feeds[`past_keys.${layer}`] = sized("keys", keys, [length, kvHeads, headDim]);
    feeds[`past_values.${layer}`] = sized("values", values, [length, kvHeads, headDim]);
    if (window !== undefined) {
      const mask = pastMask({ tokens: all, past: length, window });
      feeds[maskName(window)] = floats(mask, [1, all, 1, length]);
      return;
    }
    const dropped = new Float32Array(kvHeads * length).fill(HIDDEN);
    for (const [head, indices] of (kept[layer] ?? []).entries()) {
      for (const index of indices) dropped[head * length + index] = 0;
    }
    feeds[droppedName(layer)] = floats(dropped, [kvHeads, 1, 1, length]);
  });
  return feeds;
}

function sized(name: string, data: Float32Array, shape: readonly number[]): Tensor {
  const size = shape.reduce((a, b) => a * b);
  return floats(data.length === size ? data : fail(name, data.length, shape.join(" × ")), shape);
}

function fail(name: string, found: number, expected: string): never {
  throw new TypeError(`Cannot train with ${name} of ${found} numbers: expected ${expected}`);
}
