import { type AST, RegExpParser } from "npm:@eslint-community/regexpp@4.12.3";
import { CheckpointError } from "../../errors.ts";

/** One step of a {@linkcode Program}; what goes on without a jump goes on with the next one. */
export type Instruction =
  /** A character of the class must follow. */
  | { readonly kind: "character"; readonly class: number }
  /** Both ways are possible; the first is better. Every split has a number of its own. */
  | { readonly kind: "split"; first: number; second: number; readonly split: number }
  | { readonly kind: "jump"; to: number }
  /** The place must be such that the condition holds. */
  | { readonly kind: "condition"; readonly condition: Condition }
  | { readonly kind: "match" };

/** What is asked of a place between two characters. */
export type Condition =
  /** A character of the class must stand before or behind it, or the text must begin or end there. */
  | { readonly kind: "edge"; readonly behind: boolean; readonly class?: number }
  /** Exactly one of its neighbours is of the class, or not. */
  | { readonly kind: "word"; readonly class: number; readonly negate: boolean }
  /** What the lookaround looks for is there, or not. */
  | { readonly kind: "look"; readonly look: number; readonly negate: boolean };

/** A regular expression as steps. */
export interface Program {
  readonly instructions: readonly Instruction[];
  readonly splits: number;
}

/** What is looked for ahead or behind. Its program reads towards the place that asks. */
export interface Look extends Program {
  readonly ahead: boolean;
}

/** A regular expression and what it needs to be run. */
export interface CompiledPattern extends Program {
  /** Each matches a character of its class. */
  readonly classes: readonly RegExp[];
  /** In the order in which they are needed: the inner ones first. */
  readonly looks: readonly Look[];
}

/** Steps at most: the time and memory of a match grow with them. */
const MOST_INSTRUCTIONS = 1000;

const LINE_END = String.raw`[\n\r\u2028\u2029]`;

/**
 * Compiles a regular expression of JavaScript, with Unicode (`u`).
 *
 * @throws {CheckpointError} If it refers back to a group, or repeats too much.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const { instructions, splits } = compilePattern("a+");
 * assertEquals(instructions.map(({ kind }) => kind), ["character", "split", "character", "jump", "match"]);
 * assertEquals(splits, 1);
 * ```
 */
export function compilePattern(source: string): CompiledPattern {
  const refuse = (what: string): never => {
    throw new CheckpointError(
      `Cannot read the tokenizer: its regular expression ${
        shortened(source)
      } ${what}, so that cutting a text could take for ever; give the prompt as token ids, or use ` +
        "another checkpoint of the model",
    );
  };
  const classes: RegExp[] = [];
  const classNumbers = new Map<string, number>();
  const looks: Look[] = [];
  let total = 0;

  const classOf = (raw: string, { ignoreCase, dotAll }: Flags): number => {
    const flags = `u${ignoreCase ? "i" : ""}${dotAll ? "s" : ""}`;
    const key = `${flags} ${raw}`;
    const known = classNumbers.get(key);
    if (known !== undefined) return known;
    classNumbers.set(key, classes.length);
    return classes.push(new RegExp(`^(?:${raw})$`, flags)) - 1;
  };

  /** A program of its own that reads forwards or backwards. */
  const compile = (alternatives: readonly AST.Alternative[], back: boolean, outer: Flags) => {
    const instructions: Instruction[] = [];
    let splits = 0;
    const add = <I extends Instruction>(instruction: I): I => {
      if (++total > MOST_INSTRUCTIONS) {
        refuse(`comes to more than ${MOST_INSTRUCTIONS} steps`);
      }
      instructions.push(instruction);
      return instruction;
    };
    const addSplit = () => add({ kind: "split" as const, first: 0, second: 0, split: splits++ });
    const addJump = () => add({ kind: "jump" as const, to: 0 });
    const here = () => instructions.length;

    const choice = (branches: readonly AST.Alternative[], flags: Flags): void => {
      const ends: { to: number }[] = [];
      branches.forEach(({ elements }, index) => {
        const split = index < branches.length - 1 ? addSplit() : undefined;
        if (split) split.first = here();
        for (const element of back ? elements.toReversed() : elements) visit(element, flags);
        if (!split) return;
        ends.push(addJump());
        split.second = here();
      });
      for (const end of ends) end.to = here();
    };
    const maybe = (greedy: boolean, body: () => void): void => {
      const split = addSplit();
      const inside = here();
      body();
      Object.assign(
        split,
        greedy ? { first: inside, second: here() } : { first: here(), second: inside },
      );
    };
    const repeat = ({ element, min, max, greedy }: AST.Quantifier, flags: Flags): void => {
      for (let count = 0; count < min; count++) visit(element, flags);
      if (max === Infinity) {
        const begin = here();
        maybe(greedy, () => {
          visit(element, flags);
          addJump().to = begin;
        });
        return;
      }
      const optional = (left: number): void => {
        if (left === 0) return;
        maybe(greedy, () => {
          visit(element, flags);
          optional(left - 1);
        });
      };
      optional(max - min);
    };
    const conditionOf = (assertion: AST.Assertion, flags: Flags): Condition => {
      switch (assertion.kind) {
        case "start":
        case "end": {
          const behind = assertion.kind === "end";
          return flags.multiline
            ? { kind: "edge", behind, class: classOf(LINE_END, PLAIN) }
            : { kind: "edge", behind };
        }
        case "word":
          return { kind: "word", class: classOf(String.raw`\w`, flags), negate: assertion.negate };
        default: {
          const ahead = assertion.kind === "lookahead";
          const program = compile(assertion.alternatives, ahead, flags);
          return {
            kind: "look",
            look: looks.push({ ...program, ahead }) - 1,
            negate: assertion.negate,
          };
        }
      }
    };
    const visit = (element: AST.Element, flags: Flags): void => {
      switch (element.type) {
        case "Character":
        case "CharacterSet":
        case "CharacterClass":
          add({ kind: "character", class: classOf(element.raw, flags) });
          return;
        case "Group":
          return choice(element.alternatives, changed(flags, element.modifiers));
        case "CapturingGroup":
          return choice(element.alternatives, flags);
        case "Quantifier":
          return repeat(element, flags);
        case "Assertion":
          add({ kind: "condition", condition: conditionOf(element, flags) });
          return;
        default:
          refuse(`has ${element.raw}, which cannot be bounded`);
      }
    };
    choice(alternatives, outer);
    add({ kind: "match" });
    return { instructions, splits };
  };
  const parsed = new RegExpParser().parsePattern(source, 0, source.length, { unicode: true });
  return { ...compile(parsed.alternatives, false, PLAIN), classes, looks };
}

/** Modifiers that hold at a place. */
interface Flags {
  readonly ignoreCase: boolean;
  readonly multiline: boolean;
  readonly dotAll: boolean;
}

const PLAIN: Flags = { ignoreCase: false, multiline: false, dotAll: false };

function changed(flags: Flags, modifiers: AST.Modifiers | null): Flags {
  if (!modifiers) return flags;
  const { add, remove } = modifiers;
  const of = (name: keyof Flags) => (flags[name] || add[name]) && !remove?.[name];
  return { ignoreCase: of("ignoreCase"), multiline: of("multiline"), dotAll: of("dotAll") };
}

function shortened(source: string): string {
  return JSON.stringify(source.length > 60 ? `${source.slice(0, 60)}…` : source);
}
