import { type CompiledPattern, compilePattern, type Condition, type Look } from "./program.ts";

/** Where a match begins and ends, in UTF-16 units. */
export interface Match {
  readonly from: number;
  readonly to: number;
}

/**
 * A regular expression that takes time in proportion to the text, whatever it is. It stands in for a
 * `RegExp` with the flags `gu` in `match`, `matchAll`, `replaceAll` and `split` of a text.
 */
export interface BoundedPattern {
  readonly flags: "gu";
  readonly source: string;
  /** All matches, from left to right, as a `RegExp` finds them. */
  matches(text: string): Generator<Match>;
  [Symbol.match](text: string): string[] | null;
  [Symbol.matchAll](text: string): Generator<{ readonly 0: string; readonly index: number }>;
  /** Puts a text in the place of each match, as it stands. */
  [Symbol.replace](text: string, by: string): string;
  /** The texts between matches. */
  [Symbol.split](text: string): string[];
}

/**
 * Makes a pattern out of a regular expression of JavaScript, with Unicode (`u`).
 *
 * A `RegExp` tries again and again what has failed already: `(a+)+b` takes exponential time. Here what
 * has failed at a place is remembered, and lookarounds are found for all places in one go. Matches are
 * the same, but where what is repeated may be empty: there, another of the ways to match may be taken.
 *
 * @throws {CheckpointError} If it refers back to a group, or repeats too much.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(boundedPattern("(a+)+b")[Symbol.match]("a".repeat(5000)), null);
 * assertEquals(boundedPattern("\\p{L}+")[Symbol.match]("one, two"), ["one", "two"]);
 * ```
 */
export function boundedPattern(source: string): BoundedPattern {
  const pattern = compilePattern(source);
  function* matches(text: string): Generator<Match> {
    const search = createSearch(pattern, readText(pattern, text));
    for (let at = 0;;) {
      const found = search(at);
      if (!found) return;
      const { offsets } = found;
      yield { from: offsets[found.from] ?? 0, to: offsets[found.to] ?? 0 };
      at = found.to > found.from ? found.to : found.to + 1;
    }
  }
  return {
    flags: "gu",
    source,
    matches,
    [Symbol.match](text) {
      const found = Array.from(matches(text), ({ from, to }) => text.slice(from, to));
      return found.length === 0 ? null : found;
    },
    *[Symbol.matchAll](text) {
      for (const { from, to } of matches(text)) yield { 0: text.slice(from, to), index: from };
    },
    [Symbol.replace](text, by) {
      let replaced = "";
      let end = 0;
      for (const { from, to } of matches(text)) {
        replaced += text.slice(end, from) + by;
        end = to;
      }
      return replaced + text.slice(end);
    },
    [Symbol.split](text) {
      const parts: string[] = [];
      let end = 0;
      for (const { from, to } of matches(text)) {
        if (from === to) continue;
        parts.push(text.slice(end, from));
        end = to;
      }
      return [...parts, text.slice(end)];
    },
  };
}

/** A text as a pattern sees it; places are counted in characters. */
interface PatternText {
  /** Where each character begins, in UTF-16 units, and the end. */
  readonly offsets: Uint32Array;
  /** For each character, by class: 1 where it belongs to it. */
  readonly kinds: readonly Uint8Array[];
  /** For each lookaround, by place: 1 where what it looks for is there. */
  readonly looks: Uint8Array[];
}

function readText({ classes, looks }: CompiledPattern, text: string): PatternText {
  const known = new Map<string, Uint8Array>();
  const kinds: Uint8Array[] = [];
  const offsets: number[] = [];
  let offset = 0;
  for (const character of text) {
    let kind = known.get(character);
    if (!kind) {
      kind = Uint8Array.from(classes, (one) => Number(one.test(character)));
      known.set(character, kind);
    }
    kinds.push(kind);
    offsets.push(offset);
    offset += character.length;
  }
  offsets.push(offset);
  const read: PatternText = { offsets: Uint32Array.from(offsets), kinds, looks: [] };
  for (const look of looks) read.looks.push(placesOf(look, read));
  return read;
}

function holds(condition: Condition, { kinds, looks }: PatternText, at: number): boolean {
  switch (condition.kind) {
    case "edge": {
      const neighbour = kinds[condition.behind ? at : at - 1];
      return !neighbour || (condition.class !== undefined && neighbour[condition.class] === 1);
    }
    case "word":
      return (kinds[at - 1]?.[condition.class] !== 1) === (kinds[at]?.[condition.class] === 1) !==
        condition.negate;
    case "look":
      return (looks[condition.look]?.[at] === 1) !== condition.negate;
  }
}

/** Where a lookaround finds what it looks for: one walk through the text, towards the places. */
function placesOf({ ahead, instructions }: Look, text: PatternText): Uint8Array {
  const { length } = text.kinds;
  const places = new Uint8Array(length + 1);
  const seen = new Int32Array(instructions.length).fill(-1);
  let reached: number[] = [];
  for (let step = 0; step <= length; step++) {
    const at = ahead ? length - step : step;
    const next = text.kinds[ahead ? at - 1 : at];
    const todo = [...reached, 0];
    reached = [];
    for (let pc = todo.pop(); pc !== undefined; pc = todo.pop()) {
      const instruction = instructions[pc];
      if (!instruction || seen[pc] === step) continue;
      seen[pc] = step;
      switch (instruction.kind) {
        case "character":
          if (next?.[instruction.class] === 1) reached.push(pc + 1);
          break;
        case "split":
          todo.push(instruction.second, instruction.first);
          break;
        case "jump":
          todo.push(instruction.to);
          break;
        case "condition":
          if (holds(instruction.condition, text, at)) todo.push(pc + 1);
          break;
        case "match":
          places[at] = 1;
      }
    }
  }
  return places;
}

/** Finds the next match from a place on; places may only grow. */
function createSearch({ instructions, splits }: CompiledPattern, text: PatternText) {
  const { kinds, offsets } = text;
  /** By place, a bit per split: whether it was tried there, and all that followed has failed. */
  const tried: (Uint8Array | undefined)[] = [];
  const bytes = Math.ceil(splits / 8);
  let forgotten = 0;

  const isNew = (split: number, at: number): boolean => {
    const bits = tried[at] ??= new Uint8Array(bytes);
    const bit = 1 << (split & 7);
    const byte = bits[split >> 3] ?? 0;
    bits[split >> 3] = byte | bit;
    return (byte & bit) === 0;
  };
  /** The end of the match that begins at a place. */
  const matchAt = (start: number): number | undefined => {
    const later: number[] = [];
    let pc = 0;
    let at = start;
    const goBack = (): boolean => {
      const place = later.pop();
      const target = later.pop();
      if (place === undefined || target === undefined) return false;
      pc = target;
      at = place;
      return true;
    };
    for (;;) {
      const instruction = instructions[pc];
      if (!instruction || instruction.kind === "match") return at;
      let goesOn = true;
      switch (instruction.kind) {
        case "character":
          goesOn = kinds[at++]?.[instruction.class] === 1;
          pc++;
          break;
        case "condition":
          goesOn = holds(instruction.condition, text, at);
          pc++;
          break;
        case "jump":
          pc = instruction.to;
          break;
        case "split":
          goesOn = isNew(instruction.split, at);
          if (goesOn) later.push(instruction.second, at);
          pc = instruction.first;
      }
      if (!goesOn && !goBack()) return undefined;
    }
  };
  return (from: number) => {
    for (let start = from; start <= kinds.length; start++) {
      while (forgotten < start) tried[forgotten++] = undefined;
      const to = matchAt(start);
      if (to === undefined) continue;
      // What led to the match was tried there, and has not failed.
      tried[to] = undefined;
      return { from: start, to, offsets };
    }
  };
}
