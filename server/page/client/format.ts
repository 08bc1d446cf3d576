const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `23.8 MiB` */
export function bytesText(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** `2,947` */
export function countText(count: number): string {
  return Math.round(count).toLocaleString("en");
}

/** `430 ms`, `2.3 s` */
export function timeText(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** `27 Nov 2026` */
export function dayText(seconds: number): string {
  const day = { day: "numeric", month: "short", year: "numeric" } as const;
  return new Date(seconds * 1000).toLocaleDateString("en-GB", day);
}

/** A budget as the server takes it: tokens as a number, all else as it is written. */
export function budgetOf(text: string): number | string {
  const trimmed = text.trim();
  return /^\d+$/.test(trimmed) ? Number(trimmed) : trimmed;
}
