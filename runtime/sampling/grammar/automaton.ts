import { ConstraintError } from "../../errors.ts";
import type { Expression } from "./grammar.ts";
import { type Node, numberNodes } from "./nodes.ts";

/** Where a text stands in a grammar. */
export interface AutomatonState {
  /** Whether the text may end here. */
  readonly accepting: boolean;
  /** Whether more may follow. */
  readonly open: boolean;
}

/** Tells which bytes may follow. States are found as they are needed, and remembered. */
export interface Automaton<State extends AutomatonState = AutomatonState> {
  readonly start: State;
  /** Where a byte leads; `undefined` where it may not come. */
  step(state: State, byte: number): State | undefined;
  /**
   * A name that two states share only where the same texts of so many bytes may follow: how often
   * something may still be repeated does not matter where that is more than they could hold.
   */
  alike(state: State, bytes: number): string;
}

/** What is left of a part that was begun, and of those around it. */
interface Cell {
  readonly node: Node;
  /** Bytes taken, the next part of a sequence, or repetitions done. */
  readonly at: number;
  readonly around: Cell | undefined;
  readonly id: number;
}

interface State extends AutomatonState {
  /** Parts that wait for a byte. */
  readonly waiting: readonly Cell[];
  /** By byte; `null` where it may not come. */
  readonly next: (State | null | undefined)[];
}

/** Parts inside each other that are begun without a byte in between. */
const DEEPEST = 1_500;

/** Ways that a text may go on in, at most: each byte tries them all. */
const MOST_WAYS = 3_000;

/** Remembered at most; then they are found again. */
const MOST_STATES = 20_000;

/**
 * Makes the automaton of a grammar: a set of stacks, each the parts that were begun and not ended. What
 * was found is interned, so that a text that comes back to where it was, as inside of a string, finds
 * the very same state.
 */
export function createAutomaton(root: Expression): Automaton {
  const cells = new Map<string, Cell>();
  const states = new Map<string, State>();
  let made = 0;

  const cell = (node: Node, at: number, around: Cell | undefined): Cell => {
    const key = `${node.id},${at},${around?.id ?? -1}`;
    const found = cells.get(key);
    if (found) return found;
    const created = { node, at, around, id: made++ };
    cells.set(key, created);
    return created;
  };

  /** Follows what needs no byte, and collects what waits for one. */
  const closure = () => {
    const waiting = new Map<number, Cell>();
    const seen = new Set<string>();
    let accepting = false;
    let depth = 0;
    const once = (what: string, work: () => void) => {
      if (seen.has(what)) return;
      seen.add(what);
      if (++depth > DEEPEST) {
        throw tooOpen();
      }
      work();
      depth--;
    };
    const enter = (node: Node, around: Cell | undefined): void =>
      once(`${node.id},${around?.id ?? -1}`, () => {
        switch (node.kind) {
          case "bytes":
            if (node.bytes.length === 0) leave(around);
            else wait(cell(node, 0, around));
            return;
          case "byte":
            return wait(cell(node, 0, around));
          case "sequence":
            return goOn(node, 0, around);
          case "choice":
            for (const part of node.parts) enter(part, around);
            return;
          case "repeat":
            return again(node, 0, around);
          case "rule":
            if (node.body) enter(node.body, around);
        }
      });
    const goOn = (node: Node & { kind: "sequence" }, at: number, around: Cell | undefined) => {
      const part = node.parts[at];
      if (part === undefined) return leave(around);
      // The last part ends what is around it: a list that is a rule of itself needs no more room.
      enter(part, at === node.parts.length - 1 ? around : cell(node, at + 1, around));
    };
    const again = (node: Node & { kind: "repeat" }, done: number, around: Cell | undefined) =>
      once(`${node.id},${done},${around?.id ?? -1}`, () => {
        if (done >= node.least) leave(around);
        if (done >= node.most) return;
        const next = node.most === Infinity ? Math.min(done + 1, node.least) : done + 1;
        enter(node.part, cell(node, next, around));
      });
    const leave = (around: Cell | undefined): void => {
      if (around === undefined) {
        accepting = true;
        return;
      }
      const { node, at } = around;
      if (node.kind === "sequence") goOn(node, at, around.around);
      else if (node.kind === "repeat") again(node, at, around.around);
    };
    const wait = (one: Cell) => void waiting.set(one.id, one);
    return {
      enter,
      leave,
      wait,
      state(): State {
        if (waiting.size > MOST_WAYS) throw tooOpen();
        const found = [...waiting.values()].sort((a, b) => a.id - b.id);
        const key = `${accepting}:${found.map(({ id }) => id).join(",")}`;
        const known = states.get(key);
        if (known) return known;
        const state = { accepting, open: found.length > 0, waiting: found, next: new Array(256) };
        if (states.size >= MOST_STATES) states.clear();
        states.set(key, state);
        return state;
      },
    };
  };

  const step = (state: State, byte: number): State | null => {
    const { enter: _, leave, wait, state: finish } = closure();
    let moved = false;
    for (const { node, at, around } of state.waiting) {
      if (node.kind === "bytes" && node.bytes[at] === byte) {
        moved = true;
        if (at + 1 < node.bytes.length) wait(cell(node, at + 1, around));
        else leave(around);
      } else if (node.kind === "byte" && node.allowed[byte] === 1) {
        moved = true;
        leave(around);
      }
    }
    if (!moved) return null;
    const next = finish();
    return next.open || next.accepting ? next : null;
  };
  const likes = new Map<string, number>();
  const likeOf = (one: Cell | undefined, bytes: number): number => {
    if (one === undefined) return -1;
    const { node, at, around } = one;
    const left = node.kind === "repeat"
      ? `${Math.min(Math.max(node.least - at, 0), bytes)}/${Math.min(node.most - at, bytes)}`
      : at;
    const key = `${node.id},${left},${likeOf(around, bytes)}`;
    let like = likes.get(key);
    if (like === undefined) likes.set(key, like = likes.size);
    return like;
  };
  const begin = closure();
  begin.enter(numberNodes(root), undefined);
  const automaton: Automaton<State> = {
    start: begin.state(),
    step(state, byte) {
      let next = state.next[byte];
      if (next === undefined) state.next[byte] = next = step(state, byte);
      return next ?? undefined;
    },
    alike({ accepting, waiting }, bytes) {
      const parts = waiting.map((one) => likeOf(one, bytes)).sort((a, b) => a - b);
      return `${accepting}:${parts.join(",")}`;
    },
  };
  return automaton;
}

function tooOpen(): ConstraintError {
  return new ConstraintError(
    "Cannot constrain an answer: there are too many ways in which its text could be meant, as where " +
      "what is repeated may itself be repeated; make the pattern or the schema simpler",
  );
}
