import { type AnswerItem, createDraw, type Draw, type Frames, type Split } from "./item.ts";

/** What is said of every name, and what is asked of one. */
interface Wording {
  readonly names: readonly [string, ...string[]];
  readonly statement: (name: string, code: number, year: number) => string;
  readonly question: (name: string) => string;
}

const WORDINGS: Readonly<Record<Split, Wording>> = {
  test: {
    names: [
      "Alder",
      "Birch",
      "Cedar",
      "Dogwood",
      "Elm",
      "Fir",
      "Ginkgo",
      "Hazel",
      "Ironwood",
      "Juniper",
      "Katsura",
      "Larch",
      "Maple",
      "Nutmeg",
      "Oak",
    ],
    statement: (name, code, year) =>
      `The registration code of building ${name} is ${code}. ` +
      `The roof of building ${name} was last painted in ${year}. `,
    question: (name) => `What is the registration code of building ${name}?`,
  },
  validation: {
    names: [
      "Albatross",
      "Bittern",
      "Cormorant",
      "Dunlin",
      "Egret",
      "Falcon",
      "Gannet",
      "Heron",
      "Ibis",
      "Jackdaw",
      "Kestrel",
      "Linnet",
      "Merlin",
      "Nightjar",
      "Osprey",
    ],
    statement: (name, code, year) =>
      `The serial number of ship ${name} is ${code}. ` +
      `The engine of ship ${name} was last replaced in ${year}. `,
    question: (name) => `What is the serial number of ship ${name}?`,
  },
};

const FRAMES: Frames = {
  end: (document, question) => `${document}\n${question}`,
  front: (document, question) => `${question}\n${document.trimEnd()}`,
};

/**
 * Hard questions: fifteen names with a six-digit code and a year each, given one after the other; one
 * code is asked for.
 *
 * @example
 * ```ts
 * import { makeCodes } from "./codes.ts";
 * import { assert } from "@std/assert";
 *
 * const [item] = makeCodes({ items: 1, seed: 0, split: "test" });
 * assert(item?.document.includes(` is ${item.expected}. `));
 * ```
 */
export function makeCodes(
  { items, seed, split }: {
    readonly items: number;
    readonly seed: number;
    readonly split: Split;
  },
): readonly AnswerItem[] {
  const { names, statement, question } = WORDINGS[split];
  return Array.from({ length: items }, (_, index) => {
    const draw = createDraw(seed, split, index);
    const codes = distinctCodes(draw, names.length);
    const statements = names.map((name, at) =>
      statement(name, codes[at] ?? 0, draw.integer(1950, 2020))
    );
    const asked = draw.integer(0, names.length - 1);
    return {
      id: `codes-${split}-${index}`,
      document: statements.join(""),
      question: question(names[asked] ?? names[0]),
      frames: FRAMES,
      expected: String(codes[asked]),
    };
  });
}

function distinctCodes(draw: Draw, count: number): readonly number[] {
  const codes = new Set<number>();
  while (codes.size < count) codes.add(draw.integer(100_000, 999_999));
  return [...codes];
}
