import type { DrawSettings } from "../draw_settings.ts";
import type { StepModel } from "../step_model.ts";
import { createAheadKernel } from "./ahead.ts";
import { MOST_AHEAD, MOST_DRAWN } from "./ahead_graph.ts";
import { createDecodeKernel } from "./decode_step.ts";
import type { Device } from "./device.ts";
import type { DeviceStepGraphOptions } from "./device_step_graph.ts";
import { checkEvenAttention, type EvenSupport, FEW } from "./even_check.ts";
import { createEvenStepKernel } from "./even_step.ts";
import { newTokens } from "./packed_tokens.ts";
import { createRaggedStepKernel } from "./ragged_step.ts";
import { createSentOnce } from "./sent_once.ts";
import type { DeviceStepInputs, DeviceStepKernel, SlottedLayer } from "./step_kernel.ts";
import { createWindowRooms, holdAlike } from "./window_attention.ts";

/** How step graphs are loaded. */
export interface DeviceStepOptions extends DeviceStepGraphOptions {
  /** Which steps the device's attention operator computes rightly. @default {it is tried} */
  readonly support?: EvenSupport;
  /** Slots from which observed steps of few tokens are quicker under a mask. @default {16384} */
  readonly long?: number;
}

/** Below it the operator of the even graph is quicker. */
const LONG = 16_384;

/**
 * Loads the step graphs of a model on a device: the one for even steps, and the one for ragged heads when
 * a step needs it. Each has its own copy of the weights, so the second is loaded late.
 */
export async function createDeviceStepKernel(
  device: Device,
  model: StepModel,
  { support, long = LONG, ...options }: DeviceStepOptions = {},
): Promise<DeviceStepKernel> {
  const { half = false } = options;
  const right = support ?? await checkEvenAttention(device, model, half ? "float16" : "float32");
  await using opening = new AsyncDisposableStack();
  const once = <T extends AsyncDisposable>(load: () => Promise<T>): () => Promise<T> =>
    loadedOnce(opening, load);
  const sentOnce = opening.use(createSentOnce(device));
  const even = once(() =>
    createEvenStepKernel(device, model, { ...options, support: right, sentOnce })
  );
  const ragged = once(() => createRaggedStepKernel(device, model, { ...options, sentOnce }));
  const { capture } = device;
  const captured = right.captured && !options.adapters ? capture : undefined;
  const windows = captured &&
    opening.use(createWindowRooms(captured, model, half ? "float16" : "float32"));
  const ways = captured && windows && { capture: captured, half, windows };
  const decode = ways && once(() => createDecodeKernel(device, ways.capture, model, ways));
  const aheadWith = (draws: boolean) =>
    ways && once(() => createAheadKernel(device, ways.capture, model, { ...ways, draws }));
  const [likeliest, drawn] = [aheadWith(false), aheadWith(true)];
  const aheadWays = likeliest && drawn && { likeliest, drawn };
  const able = { likeliest: true, drawn: model.vocabulary <= MOST_DRAWN };
  const { layerKinds: kinds } = model;
  const windowsAlike = (layers: readonly SlottedLayer[]) =>
    holdAlike(
      layers.filter((_, layer) => kinds[layer]?.window !== undefined),
      { layerKinds: kinds.filter(({ window }) => window !== undefined) },
    );
  // What does not fit is told when a model is opened.
  await (right.few || right.many ? even() : ragged());
  const opened = opening.move();
  return {
    async run(inputs) {
      const tokens = newTokens(inputs, model.headDim);
      const evenly = (tokens < FEW ? right.few : right.many) && inputs.layers.every(isEven) &&
        !isQuickerMasked(inputs, { tokens, long }) && !inputs.inputNorms && !inputs.layerInputs;
      if (evenly && decode && takesStep(inputs) && windowsAlike(inputs.layers)) {
        return { logits: await (await decode()).run(inputs), queries: [], attentionSums: [] };
      }
      return await (await (evenly ? even() : ragged())).run(inputs);
    },
    mostAhead: (layers, settings) =>
      aheadWays && able[wayOf(settings)] && holdAlike(layers, model) ? MOST_AHEAD : 0,
    async runAhead(inputs) {
      const way = wayOf(inputs.draw?.settings);
      const kernel = await aheadWays?.[way]().catch(() => undefined);
      if (kernel) return await kernel.run(inputs);
      able[way] = false;
      return [];
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Which graph finds the next token. */
function wayOf(settings: DrawSettings | undefined): "likeliest" | "drawn" {
  return settings ? "drawn" : "likeliest";
}

/** Loads something when it is first asked for, and again where that failed. */
function loadedOnce<T extends AsyncDisposable>(
  owner: AsyncDisposableStack,
  load: () => Promise<T>,
): () => Promise<T> {
  let loading: Promise<T> | undefined;
  owner.defer(async () => {
    await (await loading?.catch(() => undefined))?.[Symbol.asyncDispose]();
  });
  return async () => {
    loading ??= load();
    try {
      return await loading;
    } catch (error) {
      loading = undefined;
      throw error;
    }
  };
}

/** Whether a step is one that is captured: one id, of which nothing but logits is wanted. */
function takesStep(
  { ids, rows, embeddings, queries = false, observe = false }: DeviceStepInputs,
): boolean {
  return ids.length === 1 && rows.length === 1 && (embeddings?.length ?? 0) === 0 && !queries &&
    !observe;
}

/** Tokens of steps that are observed: soft tokens, windows. */
const MOST_MASKED = 256;

/**
 * Whether a step is quicker by the masked graph, which has the weights that are observed anyway: few
 * queries leave most of a GPU idle while the operator goes through a long cache, key by key.
 */
function isQuickerMasked(
  { observe = false, layers }: DeviceStepInputs,
  { tokens, long }: { readonly tokens: number; readonly long: number },
): boolean {
  return observe && tokens <= MOST_MASKED && layers.some(({ keys }) => (keys.dims[1] ?? 0) >= long);
}

function isEven({ lengths }: SlottedLayer): boolean {
  return lengths.every((length) => length === lengths[0]);
}
