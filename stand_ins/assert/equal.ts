import { isAnyArrayBuffer, isTypedArray, isWeakMap, isWeakSet } from "node:util/types";

type Bag = Readonly<Record<PropertyKey, unknown>>;

/**
 * Deep equality as `@std/assert` has it: `NaN` equals itself and `0` equals `-0`, the prototype
 * counts (an object without one passes for a plain object), a missing property differs from an
 * undefined one, and inherited getters are compared.
 */
export function equal(a: unknown, b: unknown): boolean {
  return compare(a, b, new Map());
}

function compare(a: unknown, b: unknown, seen: Map<unknown, unknown>): boolean {
  if (a === b || Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b)) return false;
  if (basePrototype(a) !== basePrototype(b)) return false;
  if (a instanceof Date && b instanceof Date) return Object.is(a.getTime(), b.getTime());
  if (isTypedArray(a) && isTypedArray(b)) return sameElements(a, b);
  if (isAnyArrayBuffer(a) && isAnyArrayBuffer(b)) {
    return sameElements(new Uint8Array(a), new Uint8Array(b));
  }
  if (isWeakMap(a) || isWeakSet(a)) {
    throw new TypeError(`Cannot compare ${isWeakMap(a) ? "WeakMap" : "WeakSet"} instances`);
  }
  if (a instanceof RegExp || a instanceof URL || a instanceof URLSearchParams) {
    return String(a) === String(b);
  }
  if (seen.get(a) === b) return true;
  if (Object.keys(a).length !== Object.keys(b).length) return false;
  seen.set(a, b);
  if (a instanceof Set && b instanceof Set) {
    return sameEntries([...a].map((key) => [key]), [...b].map((key) => [key]), seen);
  }
  if (a instanceof Map && b instanceof Map) return sameEntries([...a], [...b], seen);
  return [...new Set([...allKeys(a), ...allKeys(b)])].every((key) =>
    (key in a) === (key in b) && compare((a as Bag)[key], (b as Bag)[key], seen)
  );
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function basePrototype(value: object): object | null {
  const prototype: object | null = Object.getPrototypeOf(value);
  return prototype === Object.prototype ? null : prototype;
}

function sameElements(
  a: { readonly length: number; readonly [index: number]: unknown },
  b: { readonly length: number; readonly [index: number]: unknown },
): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i] && !Object.is(a[i], b[i])) return false;
  }
  return true;
}

function sameEntries(
  a: readonly unknown[][],
  b: readonly unknown[][],
  seen: Map<unknown, unknown>,
): boolean {
  if (a.length !== b.length) return false;
  const unmatched = [...b];
  return a.every((entry) => {
    const found = unmatched.findIndex((other) => entry.every((x, i) => compare(x, other[i], seen)));
    if (found >= 0) unmatched.splice(found, 1);
    return found >= 0;
  });
}

function allKeys(value: object): PropertyKey[] {
  const keys: PropertyKey[] = [];
  for (
    let at: object | null = value;
    at !== null && at !== Object.prototype && at !== Array.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    keys.push(...Reflect.ownKeys(at));
  }
  return keys;
}
