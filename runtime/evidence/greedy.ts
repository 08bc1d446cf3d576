import type { MaybePromise } from "../../policies/policy.ts";
import type { Engine, StepResult } from "../engine/engine.ts";
import { pause } from "../engine/pause.ts";
import { holdSequence, rollbackSequence, type Sequence } from "../engine/sequence.ts";
import { greedyToken } from "../sampling/greedy.ts";

/** What greedy tokens start from. */
export interface GreedyStart {
  readonly engine: Pick<Engine, "advance" | "config">;
  readonly sequence: Sequence;
  /** Logits of the last token read. */
  readonly logits: Float32Array;
  /** Tokens, at most. */
  readonly steps: number;
  readonly signal?: AbortSignal | undefined;
}

/** What else happens to greedy tokens. */
export interface GreedyHooks {
  /** Whether the last token is read too. @default {false} */
  readonly readLast?: boolean;
  /** Whether steps give their queries. @default {false} */
  readonly queries?: boolean;
  /** Whether steps give the attention that each key receives. @default {false} */
  readonly observe?: boolean;
  /** Whether the tokens are taken out of the sequence again. @default {false} */
  readonly temporary?: boolean;
  /**
   * Runs when a token was read, and may give other logits to go on from. The step tells no more of its own than
   * the likeliest token.
   */
  readonly onRead?: (id: number, step: StepResult) => MaybePromise<Float32Array | void>;
}

/**
 * The tokens that a model writes when each is the likeliest one, the token that ends its answer
 * included. Each is read into the sequence before the next is asked for; the last one is not, unless
 * that is wanted.
 */
export async function* greedyTokens(
  { engine, sequence, logits, steps, signal }: GreedyStart,
  { readLast = false, queries = false, observe = false, temporary = false, onRead }: GreedyHooks =
    {},
): AsyncGenerator<number, void> {
  let found = greedyToken(logits);
  for (let count = 1; count <= steps; count++) {
    const id = found;
    const last = count === steps || engine.config.eosIds.includes(id);
    yield id;
    if (last && !readLast) return;
    await pause(signal);
    const next = last ? "nothing" : "likeliest";
    const step = await engine.advance(sequence, { ids: [id], queries, observe, temporary, next });
    const others = await onRead?.(id, step);
    if (last) return;
    found = others ? greedyToken(others) : step.likeliest ?? greedyToken(step.logits);
  }
}

/**
 * The model's own greedy answer. The sequence is left as it was.
 *
 * @param isOver Whether an answer that begins with these ids ends with them; where the model ends it
 * nothing else is asked.
 */
export async function greedyAnswer(
  start: GreedyStart,
  isOver?: (ids: readonly number[]) => boolean,
): Promise<number[]> {
  using mark = holdSequence(start.sequence);
  try {
    const ids: number[] = [];
    for await (const id of greedyTokens(start, { temporary: true })) {
      ids.push(id);
      if (isOver?.(ids)) break;
    }
    return ids;
  } finally {
    rollbackSequence(start.sequence, mark);
  }
}
