import {
  choice,
  EMPTY,
  type Expression,
  literal,
  NEVER,
  oneOf,
  optional,
  repeated,
  sequence,
} from "../grammar/grammar.ts";
import { digits, MOST_DIGITS } from "../grammar/json_grammar.ts";

/** Bounds of a number. */
export interface NumberRange {
  readonly least?: number;
  readonly most?: number;
  /** Whether the bound itself is outside. */
  readonly leastOutside?: boolean;
  readonly mostOutside?: boolean;
}

/** A bound as it is written: digits before and behind the point. */
interface Bound {
  readonly whole: bigint;
  readonly fraction: string;
  readonly outside: boolean;
}

/** Digits behind the point: few enough that no number is rounded over its bound. */
const FINEST = 9;
const SOME_FRACTION = sequence(literal("."), digits(1, FINEST));
const ANY_FRACTION = optional(SOME_FRACTION);
const GREATEST = 10n ** BigInt(MOST_DIGITS) - 1n;

/** Whole numbers within bounds. */
export function integerRange(range: NumberRange): Expression | undefined {
  const least = range.least === undefined
    ? undefined
    : BigInt(Math.ceil(range.least)) + (range.leastOutside && isWhole(range.least) ? 1n : 0n);
  const most = range.most === undefined
    ? undefined
    : BigInt(Math.floor(range.most)) - (range.mostOutside && isWhole(range.most) ? 1n : 0n);
  const low = least ?? -GREATEST;
  const high = most ?? GREATEST;
  if (low > high) return NEVER;
  return choice(
    low < 0n
      ? sequence(literal("-"), naturals(high < 0n ? -high : 1n, -low, least === undefined))
      : NEVER,
    high >= 0n ? naturals(low < 0n ? 0n : low, high, most === undefined) : NEVER,
  );
}

/** Numbers within bounds, written without an exponent. */
export function decimalRange(range: NumberRange): Expression | undefined {
  const { least = -Infinity, most = Infinity, leastOutside = false, mostOutside = false } = range;
  const positive = magnitudes(
    least > 0 ? boundOf(least, leastOutside) : boundOf(0, least === 0 && leastOutside),
    most >= 0 ? boundOf(most, mostOutside) : NEVER,
  );
  const negative = least < 0
    ? magnitudes(
      most < 0 ? boundOf(-most, mostOutside) : boundOf(0, true),
      boundOf(-least, leastOutside),
    )
    : NEVER;
  return choice(positive, sequence(literal("-"), negative));
}

function isWhole(value: number): boolean {
  return Number.isInteger(value);
}

function boundOf(value: number, outside: boolean): Bound {
  if (value === Infinity) return { whole: GREATEST + 1n, fraction: "", outside: true };
  const [digits = "", exponent = "0"] = value.toString().split("e");
  const [whole = "", fraction = ""] = digits.split(".");
  const shift = Number(exponent);
  const all = whole + fraction;
  const point = whole.length + shift;
  const padded = point > all.length
    ? all.padEnd(point, "0")
    : all.padStart(all.length - point, "0");
  const at = Math.max(point, 0);
  return {
    whole: BigInt(padded.slice(0, at) || "0"),
    fraction: padded.slice(at).replace(/0+$/, ""),
    outside,
  };
}

/** Numbers of no sign between two bounds. */
function magnitudes(low: Bound, high: Bound | undefined): Expression | undefined {
  if (high === undefined || low.whole > high.whole) return NEVER;
  const whole = (value: bigint) => literal(value.toString());
  if (low.whole === high.whole) {
    return sequence(whole(low.whole), fractionBetween(low, high));
  }
  const between = low.whole + 1n <= high.whole - 1n
    ? naturals(low.whole + 1n, high.whole - 1n, false)
    : NEVER;
  return choice(
    sequence(whole(low.whole), fractionAtLeast(low.fraction, low.outside)),
    sequence(between, ANY_FRACTION),
    high.whole > GREATEST
      ? NEVER
      : sequence(whole(high.whole), fractionAtMost(high.fraction, high.outside)),
  );
}

/** A point and digits that come to at least a fraction, or nothing where that is 0. */
function fractionAtLeast(wanted: string, outside: boolean): Expression | undefined {
  const more = sequence(literal("."), digitsAtLeast(wanted, outside));
  return wanted === "" && !outside ? ANY_FRACTION : more;
}

function digitsAtLeast(wanted: string, outside: boolean): Expression | undefined {
  if (wanted === "") {
    return outside
      ? sequence(zeros(0, 6), digitsBetween(1, 9), digits(0, FINEST))
      : digits(0, FINEST);
  }
  const first = Number(wanted[0]);
  return choice(
    sequence(digitsBetween(first + 1, 9), digits(0, FINEST)),
    sequence(literal(`${first}`), digitsAtLeast(wanted.slice(1), outside)),
  );
}

function fractionAtMost(wanted: string, outside: boolean): Expression | undefined {
  if (wanted === "" && outside) return NEVER;
  return choice(EMPTY, sequence(literal("."), digitsAtMost(wanted, outside)));
}

/** At least one digit. */
function digitsAtMost(wanted: string, outside: boolean): Expression | undefined {
  if (wanted === "") return outside ? NEVER : zeros(1, FINEST);
  const first = Number(wanted[0]);
  const rest = wanted.slice(1);
  return choice(
    sequence(digitsBetween(0, first - 1), digits(0, FINEST)),
    sequence(
      literal(`${first}`),
      choice(rest === "" && outside ? NEVER : EMPTY, digitsAtMost(rest, outside)),
    ),
  );
}

function fractionBetween(low: Bound, high: Bound): Expression | undefined {
  if (low.fraction === "" && !low.outside) return fractionAtMost(high.fraction, high.outside);
  if (high.fraction === "") {
    return low.fraction === "" && !low.outside && !high.outside ? EMPTY : NEVER;
  }
  return sequence(literal("."), between(low.fraction, high.fraction));

  function between(from: string, to: string): Expression | undefined {
    if (to === "") return from === "" && !low.outside && !high.outside ? zeros(0, 3) : NEVER;
    const a = Number(from[0] ?? 0);
    const b = Number(to[0]);
    if (a > b) return NEVER;
    if (a === b) return sequence(literal(`${a}`), between(from.slice(1), to.slice(1)));
    const stop = to.length === 1 && high.outside ? NEVER : EMPTY;
    return choice(
      sequence(literal(`${a}`), digitsAtLeast(from.slice(1), low.outside)),
      sequence(digitsBetween(a + 1, b - 1), digits(0, FINEST)),
      sequence(literal(`${b}`), choice(stop, digitsAtMost(to.slice(1), high.outside))),
    );
  }
}

function zeros(least: number, most: number): Expression | undefined {
  return repeated(literal("0"), least, most);
}

function digitsBetween(from: number, to: number): Expression | undefined {
  return from > to ? NEVER : oneOf([[0x30 + from, 0x30 + to]]);
}

/** Whole numbers of no sign; an open end takes more digits than the bound has. */
function naturals(low: bigint, high: bigint, open: boolean): Expression | undefined {
  if (low > high) return NEVER;
  const parts: (Expression | undefined)[] = [];
  const longest = high.toString().length;
  for (let length = low.toString().length; length <= longest; length++) {
    const first = length === 1 ? 0n : 10n ** BigInt(length - 1);
    const last = 10n ** BigInt(length) - 1n;
    const from = low > first ? low : first;
    const to = high < last ? high : last;
    if (open && from === first && length > 1) {
      parts.push(sequence(digitsBetween(1, 9), digits(length - 1, longest - 1)));
      break;
    }
    parts.push(sameLength(from.toString(), to.toString()));
  }
  return choice(...parts);
}

function sameLength(low: string, high: string): Expression | undefined {
  if (low === "") return EMPTY;
  const a = Number(low[0]);
  const b = Number(high[0]);
  const rest = low.length - 1;
  const noughts = "0".repeat(rest);
  const nines = "9".repeat(rest);
  if (low.slice(1) === noughts && high.slice(1) === nines) {
    return sequence(digitsBetween(a, b), digits(rest));
  }
  if (a === b) return sequence(literal(`${a}`), sameLength(low.slice(1), high.slice(1)));
  return choice(
    sequence(literal(`${a}`), sameLength(low.slice(1), nines)),
    sequence(digitsBetween(a + 1, b - 1), digits(rest)),
    sequence(literal(`${b}`), sameLength(noughts, high.slice(1))),
  );
}
