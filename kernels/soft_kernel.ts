import { adapterFeeds, type AdapterShape, adapterTensors } from "./adapters.ts";
import { rotaryFeeds } from "./rotary_inputs.ts";
import type { RotaryRows } from "./rope.ts";
import { createKernel, flag, floats, floatsOf, halves, type Tensor } from "./session.ts";
import { pastMask } from "./soft_attention.ts";
import { buildSoftGraph, gradientName, maskName, windowsOf } from "./soft_graph.ts";
import type { SoftLossOptions } from "./soft_loss.ts";
import type { StepModel } from "./step_model.ts";

/** How a soft kernel is made. */
export interface SoftKernelOptions {
  /** Soft tokens. */
  readonly tokens: number;
  /** Layers whose attention is compared, in order, all with the same window if with any. */
  readonly judged: readonly number[];
  /**
   * Groups of soft tokens, equally many in a row each, whose attention is compared for itself.
   *
   * @default {1}
   */
  readonly groups?: number;
  readonly loss: SoftLossOptions["loss"];
  /** @default {"heads"} */
  readonly average?: SoftLossOptions["average"];
  /** @default {"heads"} */
  readonly normalise?: SoftLossOptions["normalise"];
  /** First tokens of the prompt that are not compared. @default {0} */
  readonly leaveFirst?: number;
  /** Last ones. @default {0} */
  readonly leaveLast?: number;
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
  /** Rotary tables of the soft tokens, one for each of the model's. */
  readonly rotary: readonly RotaryRows[];
  /**
   * Cached keys and values of each layer, `[P, kvHeads · headDim]`, P at least 1; layers that slide
   * hold fewer than their window.
   */
  readonly past: readonly {
    readonly keys: Float32Array | Float16Array;
    readonly values: Float32Array | Float16Array;
  }[];
  /** What the attention is compared with, `[judged, groups · heads, P]`. */
  readonly target: Float32Array;
  /**
   * `[judged]`: each layer's loss is multiplied by its weight before the mean over layers.
   *
   * @default {one for each judged layer}
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
  /**
   * Attention of the soft tokens, mean over those of each group, `[judged, groups · heads, P]`; empty
   * unless asked for.
   */
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
  options: SoftKernelOptions,
): Promise<SoftKernel> {
  const { tokens, judged, groups = 1, loss, average = "heads", past = "float32" } = options;
  const { adapters, threads, normalise = "heads", leaveFirst = 0, leaveLast = 0 } = options;
  if (!Number.isInteger(tokens / groups)) {
    throw new TypeError(`Cannot put ${tokens} soft tokens into ${groups} groups of one size`);
  }
  const graph = buildSoftGraph(model, {
    tokens,
    judged,
    groups,
    loss,
    average,
    normalise,
    leaveFirst,
    leaveLast,
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
        ...feedsOf(
          model,
          { tokens, judged, groups, past, least: leaveFirst + leaveLast + 1 },
          inputs,
        ),
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
  model: StepModel,
  { tokens, judged, groups, past: type, least }:
    & Required<Pick<SoftKernelOptions, "tokens" | "judged" | "groups" | "past">>
    & { readonly least: number },
  { embeddings, rotary, past, target, layerWeights, gradients = true }: SoftStepInputs,
): Record<string, Tensor> {
  const { hidden, heads, kvHeads, headDim, layerKinds, ropes } = model;
  const width = kvHeads * headDim;
  const lengths = layerKinds.map((_, layer) => (past[layer]?.keys.length ?? 0) / width);
  const length = lengths[judged[0] ?? 0] ?? 0;
  if (!(length >= least)) {
    throw new TypeError(`Cannot train on a cache of ${length} tokens: at least ${least} is needed`);
  }
  const feeds: Record<string, Tensor> = {
    embeddings: plain("embeddings", embeddings, [tokens, hidden]),
    target: plain("target", target, [judged.length, groups * heads, length]),
    layer_weights: plain(
      "layerWeights",
      layerWeights ?? new Float32Array(judged.length).fill(1),
      [judged.length, 1, 1],
    ),
    gradients: flag(gradients),
    ...rotaryFeeds(ropes.map((_, rope) => tablesOf(rotary[rope], [tokens, headDim / 2])), [
      tokens,
      headDim / 2,
    ]),
  };
  for (const window of windowsOf(model)) {
    const held = lengths[layerKinds.findIndex((kind) => kind.window === window)] ?? 0;
    const mask = pastMask({ tokens, past: held, window });
    feeds[maskName(window)] = floats(mask, [1, tokens, 1, held]);
  }
  layerKinds.forEach(({ window = Infinity }, layer) => {
    for (const part of ["keys", "values"] as const) {
      const name = `past_${part}.${layer}`;
      // Layers of one window hold equally many, and fewer than it.
      const held = window === Infinity ? length : Math.min(lengths[layer] ?? 0, window - 1);
      const shape = [held, kvHeads, headDim];
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

function tablesOf(rows: RotaryRows | undefined, shape: readonly number[]): RotaryRows {
  return { cos: sized("cos", rows?.cos, shape), sin: sized("sin", rows?.sin, shape) };
}

function plain(name: string, data: Float32Array, shape: readonly number[]): Tensor {
  return floats(sized(name, data, shape), shape);
}

function sized<T extends Float32Array | Float16Array>(
  name: string,
  data: T | undefined,
  shape: readonly number[],
): T {
  const size = shape.reduce((a, b) => a * b);
  if (data?.length === size) return data;
  throw new TypeError(
    `Cannot train with ${name} of ${data?.length ?? 0} numbers: expected ${shape.join(" × ")}`,
  );
}
