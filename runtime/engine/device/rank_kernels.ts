import type { Device, DeviceFeeds } from "../../../kernels/device/device.ts";
import { buildsOf, loadedOnDemand } from "../../../kernels/device/on_demand.ts";
import { together } from "../../../kernels/device/together.ts";
import { floats, integers } from "../../../kernels/session.ts";
import type { BestOfAll, BestOfEach, RankedScores, Ranking } from "../../evict/layer_scorer.ts";
import {
  countFeeds,
  headFeeds,
  namesPinned,
  type RankedHeads,
  wantedOfEach,
  widthOf,
} from "./rank_feeds.ts";
import { buildRankGraph, type RankGraphSpec } from "./rank_graph.ts";

/** Ranks scores where they lie. Owns the loaded graphs. */
export interface RankKernels extends Ranking, AsyncDisposable {}

interface Job<Wanted> {
  readonly scores: readonly RankedScores[];
  readonly wanted: Wanted;
}

/** Loads graphs when they are first asked for, one for each number of layers. */
export function createRankKernels(device: Device): RankKernels {
  const kernels = loadedOnDemand(device);
  const builds = buildsOf(buildRankGraph);
  const run = async (
    scores: readonly RankedScores[],
    how: Omit<RankGraphSpec, "tensors" | "even" | "pinned">,
    feeds: DeviceFeeds,
    firstCounts?: readonly number[],
  ) => {
    const all = scores.map(headsOf);
    const width = widthOf(all);
    const even = all.every(({ length }) => length === width);
    const spec = { ...how, tensors: scores.length, even, pinned: namesPinned(all) };
    const tensors: Record<string, DeviceFeeds[string]> = {};
    for (const [index, { held }] of scores.entries()) {
      tensors[`scores.${index}`] = held.scores;
      if (how.second && held.rescored) tensors[`rescored.${index}`] = held.rescored;
      if (!even) tensors[`pads.${index}`] = integers([0, 0, 0, width - (all[index]?.length ?? 0)]);
    }
    const outputs = await kernels.run(builds(spec), {
      ...tensors,
      ...feeds,
      ...headFeeds(all, firstCounts),
      counting: await kernels.counting(width),
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
      const { best, passing, width } = await run(scores, how, {
        count: integers([count]),
        safe: integers([Math.min(safe, widthOf(scores.map(headsOf)))]),
        groups: integers([jobs.length]),
        ...thresholdFeeds(threshold),
      });
      return jobs.map((job, group) => {
        const heads = job.scores.reduce((sum, one) => sum + headsOf(one).heads, 0);
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
      const [{ wanted: { threshold, firstCounts: first } }] = jobs;
      const counts = jobs.flatMap(({ wanted }) => wanted.counts);
      const firstCounts = first && jobs.flatMap(({ wanted }) => wanted.firstCounts ?? []);
      const second = firstCounts !== undefined;
      const how = { shared: false, second, threshold: threshold !== undefined };
      const { best, passing } = await run(scores, how, {
        ...countFeeds({ counts, firstCounts }),
        ...thresholdFeeds(threshold),
      }, firstCounts);
      const all = wantedOfEach(best, counts, passing);
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

function headsOf({ held, sinks, recent, pinned }: RankedScores): RankedHeads {
  const [heads = 0, length = 0] = held.scores.dims;
  return { heads, length, sinks, recent, pinned };
}

function thresholdFeeds(threshold: number | undefined): DeviceFeeds {
  return threshold === undefined ? {} : { threshold: floats(Float32Array.of(threshold), [1]) };
}

/** Jobs of which this is the same are ranked side by side: as many heads, of the same lengths. */
function sharedKey({ scores, wanted: { count, safe, threshold } }: Job<BestOfAll>): string {
  return JSON.stringify([count, safe, threshold, scores.map(({ held }) => held.scores.dims)]);
}

/** Heads do not depend on one another here. */
function eachKey({ wanted: { firstCounts, threshold } }: Job<BestOfEach>): string {
  return JSON.stringify([threshold, firstCounts !== undefined]);
}
