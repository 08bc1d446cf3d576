import type { Interval } from "../../evaluation/statistics.ts";

/** A share as people read it, in percent. */
export function percent(share: number | null): string {
  return share === null ? "-" : (100 * share).toFixed(1);
}

/** An interval of shares, in percent. */
export function percents(interval: Interval | null): string {
  return interval === null ? "-" : interval.map(percent).join("-");
}
