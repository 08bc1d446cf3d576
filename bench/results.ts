import type { Measurement } from "./engine/protocol.ts";
import { evictionShare } from "./eviction_share.ts";
import type { Quality } from "./quality.ts";
import { DISTURBED, type Sample } from "./rounds.ts";
import { summarise, type Summary } from "./statistics.ts";

/** The policy behind `decode_evicted` and `cache_bytes`. */
export const EVICTING_POLICY = "snapkv";

/** The peer that ratios are taken to: 8 bits against 8 bits. */
const FAIR_PEER = "llama_cpp_q8_0";

/** One line of a table, for prompts of one length. */
interface LengthRow {
  /** Tokens of the prompts. */
  readonly length: number;
}

/** Tokens per second of each engine. */
export interface SpeedRow extends LengthRow {
  readonly speeds: ReadonlyMap<string, Summary>;
  /**
   * kvjudge to the fair peer: the quotient of the medians, and its range over the rounds. Absent
   * without the peer, or where other programs disturbed every measurement of one of the two.
   */
  readonly ratio?: Summary;
}

/** Share of reading a prompt that a policy's eviction takes. */
export interface ShareRow extends LengthRow {
  readonly policy: string;
  readonly share: Summary;
}

/** Bytes of the cache after a prompt. */
export interface BytesRow extends LengthRow {
  /** Of the others, with their full cache. */
  readonly peers: ReadonlyMap<string, number>;
  readonly before: number;
  readonly after: number;
  /** What the kept entries take. */
  readonly kept: number;
}

/** Most memory that engines took. */
export interface PeakMemory {
  /** Tokens of the prompt. */
  readonly tokens: number;
  /** Bytes by engine; kvjudge evicts. */
  readonly bytes: ReadonlyMap<string, number>;
}

/** Everything that was measured. */
export interface Results {
  readonly prefill: readonly SpeedRow[];
  readonly decodeFull: readonly SpeedRow[];
  /** kvjudge with an evicted cache beside the others' full one. */
  readonly decodeEvicted: readonly SpeedRow[];
  readonly evictionShare: readonly ShareRow[];
  readonly cacheBytes: readonly BytesRow[];
  /** Most memory of each engine that read a long prompt and nothing else, in bytes. */
  readonly peakMemory: PeakMemory;
  readonly quality: readonly Quality[];
}

const prefillSpeed = ({ length, value }: Sample) => length / value.prefillMs * 1000;
const decodeSpeed = ({ value }: Sample) => value.steps / value.decodeMs * 1000;

/** Works the samples out. Disturbed ones count only where there is no other. */
export function workOut(all: readonly Sample[]): Omit<Results, "peakMemory" | "quality"> {
  const samples = preferQuiet(all);
  const full = samples.filter(({ policy }) => policy === undefined);
  const evicted = samples.filter(({ policy }) => policy !== undefined);
  const evictedBest = evicted.filter(({ policy }) => policy === EVICTING_POLICY);
  const lengths = (of: readonly Sample[]) => [...new Set(of.map(({ length }) => length))];
  const evictedLengths = lengths(evictedBest);
  const peers = full.filter(({ name, length }) =>
    name !== "kvjudge" && evictedLengths.includes(length)
  );
  const rows = (of: readonly Sample[], speed: (sample: Sample) => number) =>
    lengths(of).toSorted((a, b) => a - b).map((length) =>
      speedRow(length, of.filter((sample) => sample.length === length), speed)
    );
  return {
    prefill: rows(full, prefillSpeed),
    decodeFull: rows(full, decodeSpeed),
    decodeEvicted: rows([...evictedBest, ...peers], decodeSpeed),
    evictionShare: shareRows(evicted, full),
    cacheBytes: evictedLengths.flatMap((length) => {
      const bytes = evictedBest.find((sample) => sample.length === length)?.value.eviction?.bytes;
      const beside = peers.filter((sample) => sample.length === length);
      const ofPeers = new Map(beside.map(({ name, value }) => [name, value.cacheBytes]));
      return bytes === undefined ? [] : [{ length, ...bytes, peers: ofPeers }];
    }),
  };
}

const isQuiet = ({ foreignLoad }: Sample) => foreignLoad <= DISTURBED;

function preferQuiet(samples: readonly Sample[]): Sample[] {
  const groups = Map.groupBy(samples, ({ name, length, policy }) => `${name} ${length} ${policy}`);
  return [...groups.values()].flatMap((group) =>
    group.some(isQuiet) ? group.filter(isQuiet) : group
  );
}

function speedRow(
  length: number,
  samples: readonly Sample[],
  speed: (sample: Sample) => number,
): SpeedRow {
  const speeds = new Map<string, Summary>();
  for (const name of new Set(samples.map(({ name }) => name))) {
    speeds.set(name, summarise(samples.filter((sample) => sample.name === name).map(speed)));
  }
  const own = speeds.get("kvjudge");
  const peer = speeds.get(FAIR_PEER);
  const compared = samples.filter(({ name }) => name === "kvjudge" || name === FAIR_PEER);
  if (own === undefined || peer === undefined || !compared.every(isQuiet)) {
    return { length, speeds };
  }
  const median = own.median / peer.median;
  const quotients = compared.filter(({ name }) => name === "kvjudge").flatMap((sample) => {
    const other = compared.find(({ name, round }) => name === FAIR_PEER && round === sample.round);
    return other === undefined ? [] : [speed(sample) / speed(other)];
  });
  // Disturbed ones left out, the two may have no round in common.
  const { min, max } = summarise(quotients.length === 0 ? [median] : quotients);
  return { length, speeds, ratio: { median, min, max } };
}

function shareRows(evicted: readonly Sample[], full: readonly Sample[]): ShareRow[] {
  const groups = Map.groupBy(evicted, ({ length, policy }) => `${length} ${policy}`);
  return [...groups.values()].flatMap((samples) => {
    const shares = samples.flatMap((sample) => {
      const share = evictionShare(sample.value, fullBeside(sample, full));
      return share === undefined ? [] : [share];
    });
    const { length = 0, policy = "" } = samples[0] ?? {};
    return shares.length === 0 ? [] : [{ length, policy, share: summarise(shares) }];
  });
}

/** The full cache's measurement of the same engine, if possible of the same round. */
function fullBeside({ name, length, round, value }: Sample, full: readonly Sample[]): Measurement {
  const candidates = full.filter((sample) => sample.name === name && sample.length === length);
  const beside = candidates.find((sample) => sample.round === round) ?? candidates[0];
  return beside?.value ?? value;
}

/** The results as JSON: medians; speeds in tokens per second, sizes in bytes, by prompt length. */
export function toJson(results: Results): object {
  const speeds = (rows: readonly SpeedRow[]) =>
    Object.fromEntries(rows.map(({ length, speeds, ratio }) => [length, {
      ...Object.fromEntries([...speeds].map(([name, { median }]) => [name, round(median)])),
      ...(ratio === undefined ? {} : { ratio: round(ratio.median) }),
    }]));
  const shares = Map.groupBy(results.evictionShare, ({ length }) => length);
  return {
    prefill: speeds(results.prefill),
    decode_full: speeds(results.decodeFull),
    decode_evicted: speeds(results.decodeEvicted),
    eviction_share: Object.fromEntries(
      [...shares].map(([length, rows]) => [
        length,
        Object.fromEntries(rows.map(({ policy, share }) => [policy, round(share.median)])),
      ]),
    ),
    cache_bytes: Object.fromEntries(
      results.cacheBytes.map((
        { length, before, after, kept, peers },
      ) => [length, { before, after, kept, ...Object.fromEntries(peers) }]),
    ),
    peak_rss: results.peakMemory.bytes.get("kvjudge"),
    peak_memory: {
      tokens: results.peakMemory.tokens,
      ...Object.fromEntries(results.peakMemory.bytes),
    },
  };
}

const round = (value: number) => Number(value.toPrecision(4));
