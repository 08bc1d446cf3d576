import { exactShares } from "./_exact_shares.ts";
import type { HeadAllocationRequest } from "./policy.ts";

/** What a file's card calls its `shares` where they are those of tokens that may be dropped, not of all. */
export const UNPROTECTED = "of what is not protected";

/** What was measured: the share that a head drops, where a share is dropped in all, of so many heads. */
export interface MeasuredShares {
  dropped(head: number, share: number, heads: number): number;
  /**
   * Whether shares are those of tokens that may be dropped. A window is a number of tokens: as a share it is
   * another one in every prompt, and budgets that hold it fit those only that are as long.
   */
  readonly apart: boolean;
}

/** Divides a budget among heads by what was measured; evenly where nothing was. */
export function dividedBy(
  measured: MeasuredShares | undefined,
  { scores, keep }: HeadAllocationRequest,
): readonly number[] {
  const heads = scores.map((ofHead) => ({
    length: ofHead.length,
    stays: ofHead.reduce((count, score) => count + Number(score === Infinity), 0),
  }));
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
  const held = sum(heads.map(({ length }) => length));
  const total = Math.min(held, Math.round(keep * scores.length));
  const fixed = heads.map(({ stays }) => measured?.apart ? stays : 0);
  const free = held - sum(fixed);
  const share = free > 0 ? Math.min(1, (held - total) / free) : 0;
  return exactShares(
    total,
    heads.map(({ length, stays }, head) => {
      const all = length - (fixed[head] ?? 0);
      return {
        ideal: measured ? length - all * measured.dropped(head, share, scores.length) : length,
        least: Math.max(1, stays),
        most: length,
      };
    }),
  );
}
