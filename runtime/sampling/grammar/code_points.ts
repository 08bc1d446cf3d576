import type { CodePoints } from "./grammar.ts";

/** All that can be written: surrogates by themselves are no characters. */
export const EVERY: CodePoints = [[0, 0xd7ff], [0xe000, 0x10ffff]];

/** Those of a list of ranges that may overlap. */
export function normalized(ranges: CodePoints): CodePoints {
  const result: [number, number][] = [];
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = result.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else result.push([from, to]);
  }
  return result;
}

/** Those of one set that are in another one as well. */
export function intersection(a: CodePoints, b: CodePoints): CodePoints {
  return a.flatMap(([from, to]) =>
    b.flatMap(([low, high]): [number, number][] =>
      low <= to && high >= from ? [[Math.max(from, low), Math.min(to, high)]] : []
    )
  );
}

/** Those that are not in a set. */
export function complement(points: CodePoints): CodePoints {
  const gaps: [number, number][] = [];
  let next = 0;
  for (const [from, to] of normalized(points)) {
    if (from > next) gaps.push([next, from - 1]);
    next = to + 1;
  }
  if (next <= 0x10ffff) gaps.push([next, 0x10ffff]);
  return intersection(gaps, EVERY);
}

/** Those of one set that are not in another. */
export function difference(a: CodePoints, b: CodePoints): CodePoints {
  return intersection(a, complement(b));
}

/** Those that a pattern of one character matches. */
export function matching(pattern: RegExp): CodePoints {
  const found: [number, number][] = [];
  for (const [from, to] of EVERY) {
    for (let point = from; point <= to; point++) {
      if (!pattern.test(String.fromCodePoint(point))) continue;
      const last = found.at(-1);
      if (last && last[1] === point - 1) last[1] = point;
      else found.push([point, point]);
    }
  }
  return found;
}
