import type { Device, DeviceFeeds } from "../../../kernels/device/device.ts";
import { loadedOnDemand } from "../../../kernels/device/on_demand.ts";
import { together } from "../../../kernels/device/together.ts";
import type { Graph } from "../../../kernels/onnx/graph.ts";
import { floats, integers } from "../../../kernels/session.ts";
import type {
  BestOfAll,
  BestOfEach,
  RankedScores,
  Ranking,
} from "../../evict/layer_scorer.ts";
import { buildRankGraph, type RankGraphSpec, ROW_COLUMNS } from "./rank_graph.ts";

/** Ranks scores where they lie. Owns the loaded graphs. */
export interface RankKernels extends Ranking, AsyncDisposable {}

interface Job<Wanted> {
  readonly scores: readonly RankedScores[];
  readonly wanted: Wanted;
}

/** Loads graphs when they are first asked for, one for each number of layers. */
export function createRankKernels(device: Device): RankKernels {
  const kernels = loadedOnDemand(device);
  const builds = new Map<string, () => Graph>();
  const run = async (
    scores: readonly RankedScores[],
    how: Omit<RankGraphSpec, "tensors" | "even" | "pinned">,
    firstCounts: readonly number[],
    feeds: DeviceFeeds,
  ) => {
    const lengths = scores.map(lengthOf);
    const width = Math.max(...lengths);
    const even = lengths.every((length) => length === width);
    const pins = pinnedPairs(scores);
    const spec = { ...how, tensors: scores.length, even, pinned: pins.length > 0 };
    const key = JSON.stringify(spec);
    const build = builds.get(key) ?? (() => buildRankGraph(spec));
    builds.set(key, build);
    const tensors: Record<string, DeviceFeeds[string]> = {};
    for (const [index, { held }] of scores.entries()) {
      tensors[`scores.${index}`] = held.scores;
      if (how.second && held.rescored) tensors[`rescored.${index}`] = held.rescored;
      if (!even) tensors[`pads.${index}`] = integers([0, 0, 0, width - (lengths[index] ?? 0)]);
    }
    const heads = scores.reduce((sum, one) => sum + headsOf(one), 0);
    const outputs = await kernels.run(build, {
      ...tensors,
      ...feeds,
      rows: floats(rowsOf(scores, firstCounts), [heads, ROW_COLUMNS.length]),
      counting: await kernels.counting(width),
      width: integers([width]),
      ...(pins.length > 0 ? { pinned: integers(pins, [pins.length / 2, 2]) } : {}),
    });
    return {
      width,
      best: outputs.integers("best"),
      passing: how.threshold ? outputs.floats("passing") : undefined,
    };
  };
  const ofAll = together<Job<BestOfAll>, readonly Int32Array[]>(
    (a, b) => sharedKey(a) === sharedKey(b),
    async (jobs) => {
      const scores = jobs.flatMap((job) => job.scores);
      const [{ wanted: { count, safe, threshold } }] = jobs;
      const how = { shared: true, second: false, threshold: threshold !== undefined };
      const { best, passing, width } = await run(scores, how, [], {
        count: integers([count]),
        safe: integers([Math.min(safe, Math.max(...scores.map(lengthOf)))]),
        groups: integers([jobs.length]),
        ...(threshold === undefined ? {} : { threshold: floats(Float32Array.of(threshold), [1]) }),
      });
      return jobs.map((job, group) => {
        const heads = job.scores.reduce((sum, one) => sum + headsOf(one), 0);
        const kept = Array.from({ length: heads }, (): number[] => []);
        for (let at = group * count; at < (group + 1) * count; at++) {
          const place = best[at] ?? 0;
          if (passing?.[at] !== 0) kept[Math.floor(place / width)]?.push(place % width);
        }
        return kept.map((tokens) => Int32Array.from(tokens).sort());
      });
    },
  );
  const ofEach = together<Job<BestOfEach>, readonly Int32Array[]>(
    (a, b) => eachKey(a) === eachKey(b),
    async (jobs) => {
      const scores = jobs.flatMap((job) => job.scores);
      const counts = jobs.flatMap(({ wanted }) => wanted.counts);
      const firstCounts = jobs.flatMap(({ wanted }) => wanted.firstCounts ?? []);
      const [{ wanted: { threshold } }] = jobs;
      const second = firstCounts.length > 0;
      const count = Math.max(...counts);
      const how = { shared: false, second, threshold: threshold !== undefined };
      const { best, passing } = await run(scores, how, firstCounts, {
        count: integers([count]),
        ...(second ? { first: integers([Math.max(1, ...firstCounts)]) } : {}),
        ...(threshold === undefined ? {} : { threshold: floats(Float32Array.of(threshold), [1]) }),
      });
      const all = counts.map((own, head) =>
        best.slice(head * count, head * count + own)
          .filter((_, at) => passing?.[head * count + at] !== 0)
          .sort()
      );
      let from = 0;
      return jobs.map(({ wanted }) => all.slice(from, from += wanted.counts.length));
    },
  );
  return {
    ofAll: (scores, wanted) => ofAll({ scores, wanted }),
    ofEach: (scores, wanted) => ofEach({ scores, wanted }),
    [Symbol.asyncDispose]: () => kernels[Symbol.asyncDispose](),
  };
}

function headsOf({ held: { scores: { dims } } }: RankedScores): number {
  return dims[0] ?? 0;
}

function lengthOf({ held: { scores: { dims } } }: RankedScores): number {
  return dims[1] ?? 0;
}

/** Jobs of which this is the same are ranked side by side: as many heads, of the same lengths. */
function sharedKey({ scores, wanted: { count, safe, threshold } }: Job<BestOfAll>): string {
  return JSON.stringify([count, safe, threshold, scores.map(({ held }) => held.scores.dims)]);
}

/** Heads do not depend on one another here. */
function eachKey({ wanted: { firstCounts, threshold } }: Job<BestOfEach>): string {
  return JSON.stringify([threshold, firstCounts !== undefined]);
}

/** What a ranking is told about each head: {@linkcode ROW_COLUMNS}. */
function rowsOf(scores: readonly RankedScores[], firstCounts: readonly number[]): Float32Array {
  const rows: number[] = [];
  let head = 0;
  for (const one of scores) {
    const length = lengthOf(one);
    for (let of = 0; of < headsOf(one); of++) {
      rows.push(one.sinks, length - one.recent, length, firstCounts[head++] ?? 0);
    }
  }
  return Float32Array.from(rows);
}

/** Head, counted through all scores, and token of what is pinned. */
function pinnedPairs(scores: readonly RankedScores[]): readonly number[] {
  const pairs: number[] = [];
  let head = 0;
  for (const one of scores) {
    for (let of = 0; of < headsOf(one); of++, head++) {
      for (const token of one.pinned?.[of] ?? []) pairs.push(head, token);
    }
  }
  return pairs;
}
