import { adapterFeeds, type AdapterShape, adapterTensors } from "./adapters.ts";
import type { RotaryRows } from "./rope.ts";
import { createKernel, flag, floats, floatsOf, halves, type Tensor } from "./session.ts";
import { buildSoftGraph, gradientName } from "./soft_graph.ts";
import type { SoftLossOptions } from "./soft_loss.ts";
import type { StepModel } from "./step_model.ts";

/** How a soft kernel is made. */
export interface SoftKernelOptions {
  /** Soft tokens. */
  readonly tokens: number;
  readonly loss: SoftLossOptions["loss"];
  /** @default {"heads"} */
  readonly average?: SoftLossOptions["average"];
  /** Type of the cached keys and values. @default {"float32"} */
  readonly past?: "float32" | "float16";
  /** Products of the soft tokens that have adapters. @default {none} */
  readonly adapters?: AdapterShape;
  readonly threads: number;
}

/** What one training step reads. */
export interface SoftStepInputs {
  /** `[tokens, hidden]`. */
  readonly embeddings: Float32Array;
  /** Adapter tensors by name, all of them: only for a kernel with adapters. */
  readonly adapters?: Readonly<Record<string, Float32Array>>;
  /** Rotary tables of the soft tokens. */
  readonly rotary: RotaryRows;
  /** Cached keys and values of each layer, `[P, kvHeads · headDim]`, P at least 1. */
  readonly past: readonly {
    readonly keys: Float32Array | Float16Array;
    readonly values: Float32Array | Float16Array;
  }[];
  /** Attention of the answer, mean over its tokens, `[layers, heads, P]`. */
  readonly target: Float32Array;
  /**
   * `[layers]`: each layer's loss is multiplied by its weight before the mean over layers.
   *
   * @default {one for each layer}
   */
  readonly layerWeights?: Float32Array;
  /** Whether gradients are wanted; without them, only the forward pass is run. @default {true} */
  readonly gradients?: boolean;
  /** Whether the attention is wanted. @default {false} */
  readonly attention?: boolean;
}

/** What one training step gives. */
export interface SoftStepOutputs {
  readonly loss: number;
  /** Attention of the soft tokens, mean over them, `[layers, heads, P]`; empty unless asked for. */
  readonly attention: Float32Array;
  /** Of the loss by the embeddings, `[tokens, hidden]`; empty unless wanted. */
  readonly gradient: Float32Array;
  /** Of the loss by each adapter tensor, in its shape; empty unless wanted. */
  readonly adapterGradients: Readonly<Record<string, Float32Array>>;
}

/** Forward and backward pass of soft tokens, loaded. */
export interface SoftKernel extends AsyncDisposable {
  /**
   * Runs one step.
   *
   * @throws {TypeError} If an input is not as long as the model, the options and the past say.
   */
  run(inputs: SoftStepInputs): Promise<SoftStepOutputs>;
}

/** Loads the training step of a model. Its weights are frozen and read as they lie. */
export async function createSoftKernel(
  model: StepModel,
  { tokens, loss, average = "heads", past = "float32", adapters, threads }: SoftKernelOptions,
): Promise<SoftKernel> {
  const graph = buildSoftGraph(model, {
    tokens,
    loss,
    average,
    past,
    ...(adapters ? { adapters } : {}),
  });
  const tensors = adapters ? adapterTensors(model, adapters) : [];
  const learned = new Set(graph.outputs.map(({ name }) => name));
  const kernel = await createKernel(graph, { threads, spinning: true });
  return {
    async run(inputs) {
      const { gradients = true, attention = false } = inputs;
      const feeds = {
        ...feedsOf(model, { tokens, past }, inputs),
        ...adapterFeeds(tensors, inputs.adapters),
      };
      const wanted = gradients ? ["embeddings", ...tensors.map(({ name }) => name)] : [];
      const outputs = await kernel.run(feeds, [
        "loss",
        ...(attention ? ["attention"] : []),
        ...wanted.map(gradientName).filter((name) => learned.has(name)),
      ]);
      const gradient = (name: string) => floatsOf(outputs[gradientName(name)]);
      return {
        loss: floatsOf(outputs.loss)[0] ?? NaN,
        attention: attention ? floatsOf(outputs.attention) : new Float32Array(0),
        gradient: gradients ? gradient("embeddings") : new Float32Array(0),
        adapterGradients: Object.fromEntries(
          gradients
            ? tensors.map(({ name, shape: [rows, columns] }) => [
              name,
              // Nothing depends on the adapters that come after the last attention.
              learned.has(gradientName(name)) ? gradient(name) : new Float32Array(rows * columns),
            ])
            : [],
        ),
      };
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

function feedsOf(
  { hidden, heads, kvHeads, headDim, layers }: StepModel,
  { tokens, past: type }: Required<Pick<SoftKernelOptions, "tokens" | "past">>,
  { embeddings, rotary, past, target, layerWeights, gradients = true }: SoftStepInputs,
): Record<string, Tensor> {
  const width = kvHeads * headDim;
  const length = (past[0]?.keys.length ?? 0) / width;
  if (!(length >= 1)) {
    throw new TypeError(`Cannot train on a cache of ${length} tokens: at least 1 is needed`);
  }
  const sized = <T extends Float32Array | Float16Array>(
    name: string,
    data: T | undefined,
    shape: readonly number[],
  ): T => {
    const size = shape.reduce((a, b) => a * b);
    if (data?.length === size) return data;
    throw new TypeError(
      `Cannot train with ${name} of ${data?.length ?? 0} numbers: expected ${shape.join(" × ")}`,
    );
  };
  const plain = (name: string, data: Float32Array, shape: readonly number[]) =>
    floats(sized(name, data, shape), shape);
  const feeds: Record<string, Tensor> = {
    embeddings: plain("embeddings", embeddings, [tokens, hidden]),
    cos: plain("cos", rotary.cos, [tokens, headDim / 2]),
    sin: plain("sin", rotary.sin, [tokens, headDim / 2]),
    target: plain("target", target, [layers.length, heads, length]),
    layer_weights: plain(
      "layerWeights",
      layerWeights ?? new Float32Array(layers.length).fill(1),
      [layers.length, 1, 1],
    ),
    gradients: flag(gradients),
  };
  layers.forEach((_, layer) => {
    for (const part of ["keys", "values"] as const) {
      const name = `past_${part}.${layer}`;
      const shape = [length, kvHeads, headDim];
      const data = sized(name, past[layer]?.[part], shape);
      const isHalf = !(data instanceof Float32Array);
      if (isHalf !== (type === "float16")) {
        throw new TypeError(`Cannot train with ${name}: this kernel takes ${type}`);
      }
      feeds[name] = isHalf ? halves(data, shape) : floats(data, shape);
    }
  });
  return feeds;
}
