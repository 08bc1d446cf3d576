import type { CacheElement } from "../../../kernels/device/layer_buffers.ts";
import type { Device, DeviceKernel, DeviceOutputs, DeviceTensor } from "../../../kernels/device/device.ts";
import { together } from "../../../kernels/device/together.ts";
import { nameInCopy, repeatGraph } from "../../../kernels/onnx/repeat_graph.ts";
import { floats, integers, type Tensor } from "../../../kernels/session.ts";
import type { LayerShape } from "../../../policies/policy.ts";
import type { HeldScores, Ranking } from "../../evict/layer_scorer.ts";
import { createRankKernels } from "./rank_kernels.ts";
import { rankTogether } from "./rank_together.ts";
import { buildScoreGraph, LAYER_INPUTS, type ScoreGraph, type ScoreSpec } from "./score_graph.ts";

/** The tensors of a layer; each is asked for only by kernels that need it. */
export interface LayerTensors {
  readonly keys: () => DeviceTensor;
  readonly values: () => DeviceTensor;
  readonly attention: () => DeviceTensor;
  readonly draft: () => DeviceTensor;
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
  scores(
    spec: Omit<ScoreSpec, "element" | "rank" | "again">,
    run: ScoreRun,
  ): Promise<Float32Array>;
  /** Indices of the best tokens, `[kvHeads × count]`, best first. */
  best(spec: Required<Omit<ScoreSpec, "element" | "again">>, run: ScoreRun): Promise<Int32Array>;
  /** Scores that stay on the device, and those of a second stage. The caller owns them. */
  held(spec: Omit<ScoreSpec, "element" | "rank">, run: ScoreRun): Promise<HeldScores>;
  /** Ranks such scores. */
  readonly ranking: Ranking;
}

interface Loaded {
  readonly spec: ScoreSpec;
  /** Layers that one run scores. */
  readonly copies: number;
  /** Whether scores stay on the device. */
  readonly stays: boolean;
  readonly built: ScoreGraph;
  readonly kernel: Promise<DeviceKernel>;
}

/** A layer whose best tokens are wanted. */
interface Wanted {
  readonly spec: ScoreSpec;
  readonly run: ScoreRun;
}

/** Graphs that are kept: a prompt needs one for each length of its layers. */
const MAX_LOADED = 32;

/** Loads graphs when they are first asked for; those that were not used for longest are dropped. */
export function createScoreKernels(device: Device, element: CacheElement): ScoreKernels {
  let loaded: Loaded[] = [];
  const load = async (spec: ScoreSpec, copies = 1, stays = false): Promise<Loaded> => {
    const known = loaded.find((one) =>
      one.copies === copies && one.stays === stays && isSame(one.spec, spec)
    );
    const built = known?.built ?? buildScoreGraph(spec);
    const repeated = copies === 1 ? built.graph : repeatGraph(built.graph, copies);
    const graph = copies > 1 && spec.rank ? rankTogether(repeated, copies) : repeated;
    const stay = stays ? graph.outputs.map(({ name }) => name) : [];
    const found = known ?? { spec, copies, stays, built, kernel: device.load(graph, { stay }) };
    loaded = [...loaded.filter((one) => one !== found), found];
    while (loaded.length > MAX_LOADED) {
      const dropped = loaded.shift();
      await (await dropped?.kernel)?.[Symbol.asyncDispose]();
    }
    return found;
  };
  type Group = readonly [Wanted, ...Wanted[]];
  const nameIn = (group: Group, copy: number, of: string) =>
    group.length === 1 ? of : nameInCopy(copy, of);
  /** Scores layers of one shape in one run, which waits for the device once. */
  const runTogether = async (group: Group, stays: boolean): Promise<DeviceOutputs> => {
    const [first] = group;
    const { built, kernel } = await load(first.spec, group.length, stays);
    using made = new DisposableStack();
    const feeds: Record<string, Tensor | DeviceTensor> = {};
    for (const [copy, { spec, run }] of group.entries()) {
      for (const [of, value] of Object.entries(await feedsOf(spec, built, run, made))) {
        feeds[nameIn(group, copy, of)] = value;
      }
    }
    return await (await kernel).run(feeds);
  };
  const bestOf = async (group: Group): Promise<readonly Int32Array[]> => {
    const best = (await runTogether(group, false)).integers("best");
    const each = best.length / group.length;
    return group.map((_, copy) => best.slice(copy * each, (copy + 1) * each));
  };
  const heldOf = async (group: Group): Promise<readonly HeldScores[]> => {
    const outputs = await runTogether(group, true);
    return group.map(({ spec }, copy): HeldScores => {
      const scores = outputs.kept(nameIn(group, copy, "scores"));
      const rescored = spec.again && outputs.kept(nameIn(group, copy, "rescored"));
      return {
        scores,
        ...(rescored ? { rescored } : {}),
        [Symbol.dispose]() {
          scores[Symbol.dispose]();
          rescored?.[Symbol.dispose]();
        },
      };
    });
  };
  const alike = (a: Wanted, b: Wanted) => isSame(a.spec, b.spec);
  const best = together<Wanted, Int32Array>(alike, bestOf);
  const held = together<Wanted, HeldScores>(alike, heldOf);
  const ranking = createRankKernels(device);
  return {
    async scores(spec, run) {
      const whole = { ...spec, element };
      const { built, kernel } = await load(whole);
      using made = new DisposableStack();
      return (await (await kernel).run(await feedsOf(whole, built, run, made))).floats("scores");
    },
    best: (spec, run) => best({ spec: { ...spec, element }, run }),
    held: (spec, run) => held({ spec: { ...spec, element }, run }),
    ranking,
    async [Symbol.asyncDispose]() {
      await ranking[Symbol.asyncDispose]();
      const all = loaded;
      loaded = [];
      for (const { kernel } of all) await (await kernel)[Symbol.asyncDispose]();
    },
  };
}

async function feedsOf(
  { shape: { heads, kvHeads, length } }: ScoreSpec,
  built: ScoreGraph,
  run: ScoreRun,
  made: DisposableStack,
): Promise<Readonly<Record<string, Tensor | DeviceTensor>>> {
  const feeds: Record<string, Tensor | DeviceTensor> = {};
  for (const name of LAYER_INPUTS) {
    if (!built.inputs.has(name)) continue;
    feeds[name] = name === "norms" ? made.use(await run.tensors.norms()) : run.tensors[name]();
  }
  const declared = new Set(built.graph.inputs.map(({ name }) => name));
  if (declared.has("chosen")) feeds.chosen = integers(run.chosen ?? [], [kvHeads, length, 2]);
  if (declared.has("chosen_rows")) {
    feeds.chosen_rows = integers(run.chosenRows ?? [], [heads, length, 2]);
  }
  if (run.pinned) feeds.pinned = floats(run.pinned, [kvHeads, length]);
  for (const { name, shape, make } of built.given) feeds[name] = floats(make(run.layer), shape);
  return feeds;
}

function isSame(a: ScoreSpec, b: ScoreSpec): boolean {
  const plain = ({ rank, ...rest }: ScoreSpec) =>
    JSON.stringify([rest.shape, rest.chosen, rank && { ...rank, second: rank.second?.firstCount }]);
  return a.kernel === b.kernel && a.again === b.again && a.rank?.second?.kernel === b.rank?.second?.kernel &&
    plain(a) === plain(b);
}
