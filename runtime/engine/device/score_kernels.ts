import type { CacheElement } from "../../../kernels/device/cache_kernels.ts";
import type { Device, DeviceKernel, DeviceTensor } from "../../../kernels/device/device.ts";
import { floats, integers, type Tensor } from "../../../kernels/session.ts";
import type { LayerShape } from "../../../policies/policy.ts";
import { buildScoreGraph, LAYER_INPUTS, type ScoreGraph, type ScoreSpec } from "./score_graph.ts";

/** The tensors of a layer; each is asked for only by kernels that need it. */
export interface LayerTensors {
  readonly keys: () => DeviceTensor;
  readonly values: () => DeviceTensor;
  readonly attention: () => DeviceTensor;
  readonly mean: () => DeviceTensor;
  readonly variance: () => DeviceTensor;
  /** Made for the kernel, which disposes of it. */
  readonly norms: () => Promise<DeviceTensor>;
}

/** What a score kernel runs on. */
export interface ScoreRun {
  readonly tensors: LayerTensors;
  /** What is shown of the layer. */
  readonly layer: LayerShape;
  /** KV head and slot of each token that is shown, `[kvHeads, length]` pairs, where not all are. */
  readonly chosen?: Int32Array;
  /** Query head and slot of each, `[heads, length]` pairs. */
  readonly chosenRows?: Int32Array;
  /** 1 at tokens that must stay, `[kvHeads, length]`. */
  readonly pinned?: Float32Array;
}

/** Runs score kernels where caches live. Owns the loaded graphs. */
export interface ScoreKernels extends AsyncDisposable {
  /** Scores, `[kvHeads × length]`. */
  scores(spec: Omit<ScoreSpec, "element" | "rank">, run: ScoreRun): Promise<Float32Array>;
  /** Indices of the best tokens, `[kvHeads × count]`, best first. */
  best(spec: Required<Omit<ScoreSpec, "element">>, run: ScoreRun): Promise<Int32Array>;
}

interface Loaded {
  readonly spec: ScoreSpec;
  readonly built: ScoreGraph;
  readonly kernel: Promise<DeviceKernel>;
}

/** Graphs that are kept: a prompt needs one for each length of its layers. */
const MAX_LOADED = 32;

/** Loads graphs when they are first asked for; those that were not used for longest are dropped. */
export function createScoreKernels(device: Device, element: CacheElement): ScoreKernels {
  let loaded: Loaded[] = [];
  const load = async (spec: ScoreSpec): Promise<Loaded> => {
    const known = loaded.find((one) => isSame(one.spec, spec));
    const built = known?.built ?? buildScoreGraph(spec);
    const found = known ?? { spec, built, kernel: device.load(built.graph) };
    loaded = [...loaded.filter((one) => one !== found), found];
    while (loaded.length > MAX_LOADED) {
      const dropped = loaded.shift();
      await (await dropped?.kernel)?.[Symbol.asyncDispose]();
    }
    return found;
  };
  const outputs = async (spec: ScoreSpec, run: ScoreRun) => {
    const { built, kernel } = await load(spec);
    using made = new DisposableStack();
    const feeds: Record<string, Tensor | DeviceTensor> = {};
    for (const name of LAYER_INPUTS) {
      if (!built.inputs.has(name)) continue;
      feeds[name] = name === "norms" ? made.use(await run.tensors.norms()) : run.tensors[name]();
    }
    const { heads, kvHeads, length } = spec.shape;
    const declared = new Set(built.graph.inputs.map(({ name }) => name));
    if (declared.has("chosen")) {
      feeds.chosen = integers(run.chosen ?? [], [kvHeads, length, 2]);
    }
    if (declared.has("chosen_rows")) {
      feeds.chosen_rows = integers(run.chosenRows ?? [], [heads, length, 2]);
    }
    if (run.pinned) feeds.pinned = floats(run.pinned, [kvHeads, length]);
    for (const { name, shape, make } of built.given) feeds[name] = floats(make(run.layer), shape);
    return await (await kernel).run(feeds);
  };
  return {
    async scores(spec, run) {
      return (await outputs({ ...spec, element }, run)).floats("scores");
    },
    async best(spec, run) {
      return (await outputs({ ...spec, element }, run)).integers("best");
    },
    async [Symbol.asyncDispose]() {
      const all = loaded;
      loaded = [];
      for (const { kernel } of all) await (await kernel)[Symbol.asyncDispose]();
    },
  };
}

function isSame(a: ScoreSpec, b: ScoreSpec): boolean {
  const plain = ({ kernel: _, rank, ...rest }: ScoreSpec) =>
    JSON.stringify([rest.shape, rest.chosen, rank && { ...rank, second: rank.second?.firstCount }]);
  return a.kernel === b.kernel && a.rank?.second?.kernel === b.rank?.second?.kernel &&
    plain(a) === plain(b);
}
