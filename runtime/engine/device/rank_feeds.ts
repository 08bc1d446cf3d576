import type { DeviceFeeds } from "../../../kernels/device/device.ts";
import { floats, integers } from "../../../kernels/session.ts";
import { ROW_COLUMNS } from "./rank_graph.ts";

/** KV heads whose tokens are ranked, all of one length. */
export interface RankedHeads {
  readonly heads: number;
  readonly length: number;
  /** Leading tokens that outrank all others. */
  readonly sinks: number;
  /** Last tokens that do. */
  readonly recent: number;
  /** Others that do, indices per KV head. */
  readonly pinned?: readonly Int32Array[] | undefined;
}

/** Which tokens of each head are wanted. */
export interface RankedCounts {
  /** How many, head by head. */
  readonly counts: readonly number[];
  /** How many of these by the first scores, where there are others. */
  readonly firstCounts?: readonly number[] | undefined;
}

/** The most tokens that a head holds. */
export function widthOf(all: readonly RankedHeads[]): number {
  return Math.max(...all.map(({ length }) => length));
}

/** Whether some tokens outrank others by name. */
export function namesPinned(all: readonly RankedHeads[]): boolean {
  return all.some(({ pinned }) => pinned?.some(({ length }) => length > 0));
}

/** What a ranking graph is told about heads, whatever their scores are. */
export function headFeeds(
  all: readonly RankedHeads[],
  firstCounts: readonly number[] = [],
): DeviceFeeds {
  const rows: number[] = [];
  const pins: number[] = [];
  let head = 0;
  for (const { heads, length, sinks, recent, pinned } of all) {
    for (let of = 0; of < heads; of++, head++) {
      rows.push(sinks, length - recent, length, firstCounts[head] ?? 0);
      for (const token of pinned?.[of] ?? []) pins.push(head, token);
    }
  }
  return {
    rows: floats(Float32Array.from(rows), [head, ROW_COLUMNS.length]),
    width: integers([widthOf(all)]),
    ...(pins.length > 0 ? { pinned: integers(pins, [pins.length / 2, 2]) } : {}),
  };
}

/** What a ranking graph of each head is told about how many are wanted. */
export function countFeeds({ counts, firstCounts }: RankedCounts): DeviceFeeds {
  return {
    count: integers([Math.max(...counts)]),
    ...(firstCounts ? { first: integers([Math.max(1, ...firstCounts)]) } : {}),
  };
}

/**
 * The tokens of each head that are wanted, ascending.
 *
 * @param best Of each head as many as the most that are wanted of one, in their order.
 * @param passing 0 at those that are left out.
 */
export function wantedOfEach(
  best: Int32Array,
  counts: readonly number[],
  passing?: Float32Array,
): readonly Int32Array[] {
  const most = Math.max(...counts);
  return counts.map((count, head) =>
    best.slice(head * most, head * most + count)
      .filter((_, at) => passing?.[head * most + at] !== 0)
      .sort()
  );
}
