import { createCounting } from "../../../kernels/device/counting.ts";
import type {
  Device,
  DeviceFeeds,
  DeviceKernel,
  DeviceOutputs,
  DeviceTensor,
} from "../../../kernels/device/device.ts";
import type { CacheElement } from "../../../kernels/device/layer_buffers.ts";
import { together } from "../../../kernels/device/together.ts";
import type { Graph } from "../../../kernels/onnx/graph.ts";
import { joinGraphs } from "../../../kernels/onnx/join_graphs.ts";
import { nameInCopy, repeatGraph } from "../../../kernels/onnx/repeat_graph.ts";
import { floats, integers } from "../../../kernels/session.ts";
import type { LayerShape } from "../../../policies/policy.ts";
import type { HeldScores, Ranking } from "../../evict/layer_scorer.ts";
import { countFeeds, headFeeds, namesPinned, wantedOfEach } from "./rank_feeds.ts";
import { buildRankGraph } from "./rank_graph.ts";
import { createRankKernels } from "./rank_kernels.ts";
import {
  buildScoreGraph,
  LAYER_INPUTS,
  type ScoreGraph,
  type ScoreSpec,
  SHARED_INPUTS,
} from "./score_graph.ts";

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
}

/** Which tokens of a layer are wanted. */
export interface BestWanted {
  /** Tokens per KV head. */
  readonly count: number;
  /** How many of them by the first scores, where there are others. */
  readonly firstCount?: number;
  /** Leading tokens that are among them. */
  readonly sinks: number;
  /** Last tokens that are. */
  readonly recent: number;
  /** Others that are, indices per KV head. */
  readonly pinned?: readonly Int32Array[];
}

/** A kernel, and what it is shown of a layer. */
export type ScoreRequest = Omit<ScoreSpec, "element">;

/** Runs score kernels where caches live. Owns the loaded graphs. */
export interface ScoreKernels extends AsyncDisposable {
  /** Scores, `[kvHeads × length]`. */
  scores(spec: Omit<ScoreRequest, "again">, run: ScoreRun): Promise<Float32Array>;
  /** Indices of the best tokens of each KV head, ascending. */
  best(spec: ScoreRequest, run: ScoreRun, wanted: BestWanted): Promise<readonly Int32Array[]>;
  /** Scores that stay on the device, and those of a second stage. The caller owns them. */
  held(spec: ScoreRequest, run: ScoreRun): Promise<HeldScores>;
  /** Ranks such scores. */
  readonly ranking: Ranking;
}

/** What becomes of scores. */
type Use = "sent" | "held" | "ranked" | "ranked, some pinned";

interface Loaded {
  readonly spec: ScoreSpec;
  /** Layers that one run scores. */
  readonly copies: number;
  readonly use: Use;
  readonly built: ScoreGraph;
  readonly kernel: Promise<DeviceKernel>;
}

/** A layer that is to be scored. */
interface Wanted {
  readonly spec: ScoreSpec;
  readonly run: ScoreRun;
}

/** One whose best tokens are wanted. */
interface BestJob extends Wanted {
  readonly wanted: BestWanted;
}

type Group<Job> = readonly [Job, ...Job[]];

/** Graphs that are kept: a kernel that asks for the number of tokens has one for each. */
const MAX_LOADED = 32;

/** Loads graphs when they are first asked for; those that were not used for longest are dropped. */
export function createScoreKernels(device: Device, element: CacheElement): ScoreKernels {
  let loaded: readonly Loaded[] = [];
  const counting = createCounting(device);
  const ranking = createRankKernels(device);
  const load = async ([{ spec, run }, ...others]: Group<Wanted>, use: Use): Promise<Loaded> => {
    const copies = 1 + others.length;
    const { length } = run.layer;
    const known = loaded.find((one) =>
      one.copies === copies && one.use === use && isSame(one.spec, spec) &&
      one.built.serves.least <= length && length <= one.built.serves.most
    );
    const found = known ?? loadedNow(spec, length, copies, use);
    loaded = [...loaded.filter((one) => one !== found), found];
    const dropped = loaded.slice(0, Math.max(0, loaded.length - MAX_LOADED));
    loaded = loaded.slice(dropped.length);
    for (const { kernel } of dropped) await (await kernel)[Symbol.asyncDispose]();
    return found;
  };
  const loadedNow = (spec: ScoreSpec, length: number, copies: number, use: Use): Loaded => {
    const built = buildScoreGraph(spec, length);
    const graph = usedGraph(built.graph, copies, use, spec.again !== undefined);
    const stay = use === "held" ? graph.outputs.map(({ name }) => name) : [];
    return { spec, copies, use, built, kernel: device.load(graph, { stay }) };
  };
  /** Scores layers of one shape in one run, which waits for the device once. */
  const runTogether = async (
    group: Group<Wanted>,
    use: Use,
    further: DeviceFeeds = {},
  ): Promise<DeviceOutputs> => {
    const { built, kernel } = await load(group, use);
    const { run } = await kernel;
    const [{ run: { layer: { length } } }] = group;
    using made = new DisposableStack();
    const feeds: Record<string, DeviceFeeds[string]> = { ...further };
    for (const [copy, one] of group.entries()) {
      for (const [of, value] of Object.entries(await feedsOf(one, built, made))) {
        feeds[nameIn(group.length, copy, of)] = value;
      }
    }
    const declared = new Set(built.graph.inputs.map(({ name }) => name));
    if (declared.has("tokens")) feeds.tokens = integers([length]);
    const counts = declared.has("counting") || use.startsWith("ranked");
    if (counts) feeds.counting = await counting.atLeast(length);
    return await run(feeds);
  };
  const bestOf = async (
    group: Group<BestJob>,
  ): Promise<readonly (readonly Int32Array[])[]> => {
    const [{ spec: { shape: { kvHeads }, again } }] = group;
    const all = group.map(({ run: { layer: { length } }, wanted }) => ({
      ...{ heads: kvHeads, length },
      ...{ sinks: wanted.sinks, recent: wanted.recent, pinned: wanted.pinned },
    }));
    const ofHeads = (of: (wanted: BestWanted) => number) =>
      group.flatMap(({ wanted }) => new Array<number>(kvHeads).fill(of(wanted)));
    const counts = ofHeads(({ count }) => count);
    const firstCounts = again && ofHeads(({ firstCount = 0 }) => firstCount);
    const use = namesPinned(all) ? "ranked, some pinned" : "ranked";
    const outputs = await runTogether(group, use, {
      ...headFeeds(all, firstCounts),
      ...countFeeds({ counts, firstCounts }),
    });
    const heads = wantedOfEach(outputs.integers("best"), counts);
    return group.map((_, layer) => heads.slice(layer * kvHeads, (layer + 1) * kvHeads));
  };
  const heldOf = async (group: Group<Wanted>): Promise<readonly HeldScores[]> => {
    const outputs = await runTogether(group, "held");
    return group.map(({ spec }, copy): HeldScores => {
      const kept = (name: string) => outputs.kept(nameIn(group.length, copy, name));
      const scores = kept("scores");
      const rescored = spec.again && kept("rescored");
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
  const alike = (a: Wanted, b: Wanted) =>
    isSame(a.spec, b.spec) && a.run.layer.length === b.run.layer.length;
  const best = together<BestJob, readonly Int32Array[]>(alike, bestOf);
  const held = together<Wanted, HeldScores>(alike, heldOf);
  return {
    scores: async (spec, run) =>
      (await runTogether([{ spec: { ...spec, element }, run }], "sent")).floats("scores"),
    best: (spec, run, wanted) => best({ spec: { ...spec, element }, run, wanted }),
    held: (spec, run) => held({ spec: { ...spec, element }, run }),
    ranking,
    async [Symbol.asyncDispose]() {
      await ranking[Symbol.asyncDispose]();
      await counting[Symbol.asyncDispose]();
      const all = loaded;
      loaded = [];
      for (const { kernel } of all) await (await kernel)[Symbol.asyncDispose]();
    },
  };
}

function nameIn(copies: number, copy: number, name: string): string {
  return copies === 1 || SHARED_INPUTS.has(name) ? name : nameInCopy(copy, name);
}

/**
 * Score graphs side by side and, where their tokens are ranked, one ranking for all of them, whose output is
 * the only one: sorting takes dozens of kernels however many rows there are, and each output that is brought
 * back is waited for.
 */
function usedGraph(graph: Graph, copies: number, use: Use, second: boolean): Graph {
  const all = copies === 1 ? graph : repeatGraph(graph, copies, SHARED_INPUTS);
  if (use === "sent" || use === "held") return all;
  const pinned = use === "ranked, some pinned";
  const how = { tensors: copies, even: true, shared: false, threshold: false };
  const links = ["scores", ...(second ? ["rescored"] : [])].flatMap((name) =>
    Array.from(
      { length: copies },
      (_, copy) => [`${name}.${copy}`, nameIn(copies, copy, name)] as const,
    )
  );
  return joinGraphs(all, buildRankGraph({ ...how, second, pinned }), new Map(links));
}

/** What a layer's copy of a graph is fed, besides what is the same for all. */
async function feedsOf(
  { spec: { shape: { heads, kvHeads } }, run }: Wanted,
  built: ScoreGraph,
  made: DisposableStack,
): Promise<DeviceFeeds> {
  const { length } = run.layer;
  const feeds: Record<string, DeviceFeeds[string]> = {};
  for (const name of LAYER_INPUTS) {
    if (!built.inputs.has(name)) continue;
    feeds[name] = name === "norms" ? made.use(await run.tensors.norms()) : run.tensors[name]();
  }
  const declared = new Set(built.graph.inputs.map(({ name }) => name));
  if (declared.has("chosen")) feeds.chosen = integers(run.chosen ?? [], [kvHeads, length, 2]);
  if (declared.has("chosen_rows")) {
    feeds.chosen_rows = integers(run.chosenRows ?? [], [heads, length, 2]);
  }
  for (const { name, shape, make } of built.given) {
    feeds[name] = floats(make(run.layer), shape.map((size) => size === "length" ? length : size));
  }
  return feeds;
}

function isSame(a: ScoreSpec, b: ScoreSpec): boolean {
  const plain = ({ shape, chosen }: ScoreSpec) => JSON.stringify([shape, chosen]);
  return a.kernel === b.kernel && a.again === b.again && plain(a) === plain(b);
}
