/**
 * How much of a cache is kept, and the one rule that turns it into a number of tokens.
 *
 * @module
 */
import { type BudgetShape, bytesPerToken, slidingBytes } from "../cache/bytes_per_token.ts";
import { BudgetError } from "../errors.ts";

/**
 * What one layer, or each layer, keeps: an integer of at least 1 is tokens per KV head, a number
 * between 0 and 1 is the ratio *kept*. `bytes` is for all the layers that the budget is for,
 * positions included.
 *
 * Layers that slide keep their window whatever the budget is: tokens and ratios are those of the other,
 * global ones. Bytes are for all: what the windows take is taken off first.
 */
export type UniformBudget =
  | number
  | { readonly tokens: number }
  | { readonly ratio: number }
  | { readonly bytes: number };

/** A budget for the whole cache, or one for each global layer. */
export type Budget = UniformBudget | readonly UniformBudget[];

type Amount =
  | { readonly unit: "tokens"; readonly value: number }
  | { readonly unit: "ratio"; readonly value: number }
  | { readonly unit: "bytes"; readonly value: number };

const WAYS_OUT = 'give tokens such as 256, a ratio kept such as 0.1, or bytes such as "8MiB"';

/** Products such as 0.1 * 3 * 10 miss whole tokens by far less than this. */
const ROUNDING_SLACK = 1e-6;

/**
 * Tokens that each KV head keeps in a layer: the only place where a budget becomes a count.
 *
 * Parts of a token are dropped, but at least 1 is kept and never more than there are.
 *
 * @param length Cached tokens per KV head.
 * @param shape Layers that share the budget, and those that slide beside them (this matters for `bytes`
 * alone), and their sizes.
 * @throws {BudgetError} If the budget is out of range, or its bytes hold no token.
 *
 * @example
 * ```ts
 * import { keepCount } from "./budget.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const shape = { layers: 2, kvHeads: 1, headDim: 4 };
 * assertEquals(keepCount(1000, 256, shape), 256);
 * assertEquals(keepCount(100, { ratio: 1 - 0.8 }, shape), 20);
 * assertEquals(keepCount(1000, { bytes: 2 * 36 * 10 }, shape), 10);
 * assertEquals(keepCount(100, 256, shape), 100);
 * ```
 */
export function keepCount(length: number, budget: UniformBudget, shape: BudgetShape): number {
  return Math.min(length, wholeTokens(length, readAmount(budget), shape));
}

function wholeTokens(length: number, { unit, value }: Amount, shape: BudgetShape): number {
  switch (unit) {
    case "tokens":
      return value;
    case "ratio":
      return Math.max(1, Math.floor(length * value + ROUNDING_SLACK));
    case "bytes": {
      const each = bytesPerToken(shape);
      const windows = slidingBytes(shape, length);
      const min = windows + each;
      if (value >= min) return Math.floor((value - windows) / each);
      const layers = windows > 0
        ? `${shape.layers} global layers, and the windows of ${shape.sliding?.length} others take ` +
          `${windows}; give at least ${min}`
        : `${shape.layers} layers; give at least that much`;
      throw new BudgetError(
        `Cannot evict to a budget of ${value} bytes: one token per KV head takes ${each} bytes in ` +
          layers,
      );
    }
  }
}

/**
 * Checks a budget before there is a prompt to apply it to.
 *
 * @throws {BudgetError} If it is out of range or of no known form.
 *
 * @example
 * ```ts
 * import { checkBudget } from "./budget.ts";
 * import { assertThrows } from "@std/assert";
 *
 * checkBudget([256, { ratio: 0.1 }]);
 * assertThrows(() => checkBudget(0));
 * ```
 */
export function checkBudget(budget: Budget): void {
  if (!isPerLayer(budget)) readAmount(budget);
  else if (budget.length === 0) fail("an empty list of layers", "there must be one per layer");
  else budget.forEach(readAmount);
}

/** Whether a budget is a ratio, for every layer. */
export function isRatio(budget: Budget): boolean {
  return isPerLayer(budget)
    ? budget.every(isRatio)
    : typeof budget === "number"
    ? budget < 1
    : "ratio" in budget;
}

/** Whether a budget has one entry per layer. */
export function isPerLayer(budget: Budget): budget is readonly UniformBudget[] {
  return Array.isArray(budget);
}

/**
 * Reads a budget as people write it: `256` (tokens), `0.1` or `10%` (ratio kept), `8MiB`, `8MB`,
 * `512KiB`, `1000B` (bytes).
 *
 * @throws {BudgetError} If the text is none of these, or out of range.
 *
 * @example
 * ```ts
 * import { parseBudget } from "./budget.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseBudget("256"), { tokens: 256 });
 * assertEquals(parseBudget("10%"), { ratio: 0.1 });
 * assertEquals(parseBudget("8MiB"), { bytes: 8 * 1024 * 1024 });
 * ```
 */
export function parseBudget(text: string): UniformBudget {
  if (typeof text !== "string") fail(describe(text), "it must be a text");
  const match = /^([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*(%|[a-z]*)$/i.exec(text.trim());
  const digits = match?.[1];
  const unit = match?.[2]?.toLowerCase();
  if (digits === undefined || unit === undefined) {
    return fail(JSON.stringify(text), "it is not a number in digits");
  }
  const value = Number(digits);
  const budget = unit === ""
    ? (digits.includes(".") ? { ratio: value } : { tokens: value })
    : unit === "%"
    ? { ratio: value / 100 }
    : { bytes: Math.floor(value * bytesOf(unit, text)) };
  readAmount(budget);
  return budget;
}

const BYTE_UNITS: ReadonlyMap<string, number> = new Map([
  ["b", 1],
  ["kb", 1e3],
  ["mb", 1e6],
  ["gb", 1e9],
  ["kib", 2 ** 10],
  ["mib", 2 ** 20],
  ["gib", 2 ** 30],
]);

function bytesOf(unit: string, text: string): number {
  return BYTE_UNITS.get(unit) ??
    fail(JSON.stringify(text), "its unit must be %, B, KB, MB, GB, KiB, MiB or GiB");
}

function readAmount(budget: UniformBudget): Amount {
  if (typeof budget === "number") {
    return checkAmount({ unit: budget > 0 && budget < 1 ? "ratio" : "tokens", value: budget });
  }
  if (typeof budget === "string") {
    fail(JSON.stringify(budget), "a text is read by parseBudget() first");
  }
  const entries: readonly (readonly [string, unknown])[] = isRecord(budget)
    ? Object.entries(budget)
    : [];
  const [unit, value] = entries[0] ?? [];
  if (
    entries.length !== 1 || (unit !== "tokens" && unit !== "ratio" && unit !== "bytes") ||
    typeof value !== "number"
  ) {
    return fail(describe(budget), "it must have one number: tokens, ratio or bytes");
  }
  return checkAmount({ unit, value });
}

function checkAmount(amount: Amount): Amount {
  const { unit, value } = amount;
  if (unit === "ratio") {
    if (!(value > 0 && value <= 1)) {
      fail(`a ratio of ${value}`, "a ratio kept must be above 0 and at most 1");
    }
  } else if (!(Number.isInteger(value) && value >= 1)) {
    fail(`${value} ${unit}`, `${unit} must be an integer of at least 1`);
  }
  return amount;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

function fail(what: string, bound: string): never {
  throw new BudgetError(`Cannot use ${what} as a budget: ${bound}; ${WAYS_OUT}`);
}
