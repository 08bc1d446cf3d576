import { ConstraintError } from "../errors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type Automaton, type AutomatonState, createAutomaton } from "./grammar/automaton.ts";
import { constraintGrammar, type ConstraintSpec } from "./grammar/constraint_grammar.ts";
import { createTokenTrie, type TokenTrie } from "./grammar/token_trie.ts";
import { atOnce, inSlices, type Pause, type Sliced } from "./slices.ts";
import type { TokenMask } from "./token_mask.ts";
import { demandArray, demandObject } from "../given.ts";

export type { TokenMask } from "./token_mask.ts";
export type { ConstraintSpec, ToolSpec } from "./grammar/constraint_grammar.ts";

/**
 * What an answer may be, and where it stands. One answer uses it up: fork it before the first token to
 * use it again.
 */
export interface Constraint {
  /**
   * Which tokens may come next; not to be changed. Tokens that end an answer are among them where it
   * may end.
   */
  mask(): TokenMask;
  /**
   * Finds what {@linkcode Constraint.mask} gives next, in slices: at a new place of a text all tokens of
   * the vocabulary are looked at.
   *
   * @param pause Is called every few milliseconds.
   */
  prepare(pause: () => Promise<void>): Promise<void>;
  /**
   * Takes the token that was drawn.
   *
   * @throws {ConstraintError} If it is not allowed.
   */
  accept(id: number): void;
  /** Whether the answer is whole: nothing may follow it, or a token has ended it. */
  readonly done: boolean;
  /** A second one that goes on from here by itself. */
  fork(): Constraint;
}

/** Makes constraints for one vocabulary. */
export interface ConstraintCompiler {
  /**
   * Makes a constraint, at the beginning of an answer.
   *
   * @throws {ConstraintError} If nothing fits it, or it asks for what cannot be enforced.
   */
  compile(spec: ConstraintSpec): Constraint;
  /**
   * As {@linkcode ConstraintCompiler.compile}, in slices: for those who have other things to do.
   *
   * @param pause Is called every few milliseconds.
   * @throws {ConstraintError} As `compile`.
   */
  prepare(spec: ConstraintSpec, pause: () => Promise<void>): Promise<Constraint>;
}

/** Masks remembered for a grammar: a text comes back to the same places often. */
const MOST_MASKS = 128;

/** Grammars remembered: requests that come one after the other often have the same schema. */
const MOST_GRAMMARS = 8;

/**
 * Prepares a vocabulary for constraints: its tokens are sorted by their bytes.
 *
 * @param endIds Ids that end an answer.
 * @throws {ConstraintError} If no token has bytes.
 *
 * @example
 * ```ts
 * import { createTokenizer } from "../tokenizer/create_tokenizer.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const tokenizer = createTokenizer({
 *   kind: "json",
 *   tokenizer: {
 *     model: { type: "BPE", vocab: { y: 0, e: 1, s: 2, n: 3, o: 4, "</s>": 5 }, merges: [] },
 *     decoder: { type: "ByteLevel" },
 *     added_tokens: [{ id: 5, content: "</s>", special: true, normalized: false }],
 *   },
 *   config: {},
 * });
 * const compiler = createConstraintCompiler(tokenizer, [5]);
 * const constraint = compiler.compile({ kind: "choice", choices: ["yes", "no"] });
 * assertEquals(constraint.mask(), Int32Array.of(0b001001));
 * for (const id of [3, 4]) constraint.accept(id);
 * assertEquals(constraint.mask(), Int32Array.of(0b100000));
 * ```
 */
export function createConstraintCompiler(
  tokenizer: Pick<Tokenizer, "vocabulary" | "tokenBytes">,
  endIds: readonly number[],
): ConstraintCompiler {
  demandObject("prepare constraints", "the tokenizer", tokenizer);
  demandArray("prepare constraints", "what ends an answer", endIds);
  const { vocabulary, tokenBytes } = tokenizer;
  if (!hasBytes(vocabulary, tokenBytes)) {
    throw new ConstraintError(
      "Cannot constrain answers: the model has no tokenizer that can be used",
    );
  }
  const ends = new Set(endIds.filter((id) => id < vocabulary));
  const recent = new Map<string, Compiled>();
  /** Sorting a vocabulary takes long: whoever asks meanwhile waits for it. */
  let sorting: Promise<TokenTrie> | undefined;
  let sorted: TokenTrie | undefined;
  const trieOf = (): Sliced<TokenTrie> => createTokenTrie(vocabulary, tokenBytes);
  return {
    compile(spec) {
      sorted ??= atOnce(trieOf());
      return atOnce(compiledOf(spec, sorted));
    },
    async prepare(spec, pause) {
      if (!sorted) {
        sorting ??= inSlices(trieOf(), pause).finally(() => sorting = undefined);
        sorted = await sorting;
      }
      return await inSlices(compiledOf(spec, sorted), pause);
    },
  };

  function* compiledOf(spec: ConstraintSpec, trie: TokenTrie): Sliced<Constraint> {
    const key = JSON.stringify(spec);
    const compiled = recent.get(key) ?? compile(spec, trie);
    yield;
    // What is too open shows before anything is read.
    yield* compiled.maskOf(compiled.automaton.start);
    recent.delete(key);
    keepNewest(recent, MOST_GRAMMARS - 1);
    recent.set(key, compiled);
    return begin(compiled, compiled.automaton.start, false);
  }

  function compile(spec: ConstraintSpec, trie: TokenTrie): Compiled {
    const automaton = createAutomaton(constraintGrammar(spec));
    const masks = new Map<string, TokenMask>();
    return {
      automaton,
      ends,
      tokenBytes,
      *maskOf(state) {
        const key = automaton.alike(state, trie.longest);
        const known = masks.get(key);
        if (known) return known;
        const mask = yield* trie.allowed(automaton, state);
        for (const id of ends) {
          const bit = 1 << (id & 31);
          const word = mask[id >>> 5] ?? 0;
          mask[id >>> 5] = state.accepting ? word | bit : word & ~bit;
        }
        keepNewest(masks, MOST_MASKS - 1);
        masks.set(key, mask);
        return mask;
      },
    };
  }
}

/** Lets go of what was put in first. */
function keepNewest(entries: Map<string, unknown>, most: number): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= most) return;
    entries.delete(oldest);
  }
}

interface Compiled {
  readonly automaton: Automaton;
  readonly maskOf: (state: AutomatonState) => Sliced<TokenMask>;
  readonly ends: ReadonlySet<number>;
  readonly tokenBytes: Tokenizer["tokenBytes"];
}

/** Begins an answer, or goes on from where another one stands. */
function begin(compiled: Compiled, from: AutomatonState, ended: boolean): Constraint {
  const { automaton, maskOf, ends, tokenBytes } = compiled;
  let state = from;
  let closed = ended;
  /** What was prepared for this state. */
  let prepared: TokenMask | undefined;
  const refuse = (id: number): never => {
    throw new ConstraintError(`Cannot accept token id ${id}: the constraint does not allow it`);
  };
  return {
    mask: () => prepared ??= atOnce(maskOf(state)),
    async prepare(pause: Pause) {
      prepared ??= await inSlices(maskOf(state), pause);
    },
    accept(id) {
      if (closed) refuse(id);
      if (ends.has(id)) {
        if (!state.accepting) refuse(id);
        closed = true;
        return;
      }
      const bytes = tokenBytes(id);
      let next: AutomatonState | undefined = bytes.length === 0 ? undefined : state;
      for (const byte of bytes) next = next && automaton.step(next, byte);
      state = next ?? refuse(id);
      prepared = undefined;
    },
    get done() {
      return closed || (state.accepting && !state.open);
    },
    fork: () => begin(compiled, state, closed),
  };
}

function hasBytes(vocabulary: number, tokenBytes: Tokenizer["tokenBytes"]): boolean {
  for (let id = 0; id < vocabulary; id++) if (tokenBytes(id).length > 0) return true;
  return false;
}
