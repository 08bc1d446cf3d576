import type { Policy } from "../policies/policy.ts";
import { emptySequence, type Sequence } from "../runtime/engine/sequence.ts";
import { freeSums } from "../runtime/evidence/accumulated.ts";
import type { Budget } from "../runtime/evict/budget.ts";
import type { KeptTokens } from "../runtime/evict/choose.ts";
import { readPieces } from "../runtime/evict/pieces.ts";
import type { Reading, ReadRequest } from "../runtime/evict/read.ts";

/** What a policy that evicts while it reads left of a prompt. */
export interface OwnReading {
  readonly sequence: Sequence;
  readonly reading: Reading;
}

/**
 * Readings of policies that evict while they read: what they leave was read without what they had
 * dropped, so that they cannot share a prompt's whole cache. Owns the last one.
 */
export interface OwnReadings extends Disposable {
  /** Reads the prompt; what was read before is freed. */
  read(policy: Policy, budget: Budget): Promise<OwnReading>;
  /**
   * The reading that kept some tokens.
   *
   * @throws {RangeError} If it was freed.
   */
  of(kept: KeptTokens | undefined, policy: Policy | undefined): OwnReading | undefined;
}

/** Readings of one prompt. */
export function ownReadings(
  request: Omit<ReadRequest, "sequence" | "policy" | "budget" | "scores">,
): OwnReadings {
  let last: OwnReading | undefined;
  const free = () => {
    last?.sequence.cache[Symbol.dispose]();
    freeSums(last?.reading.attentionSums);
    last = undefined;
  };
  return {
    async read(policy, budget) {
      free();
      using held = new DisposableStack();
      const sequence = emptySequence(held.use(request.engine.newCache()));
      const reading = await readPieces({ ...request, sequence, policy, budget, scores: false });
      held.move();
      return last = { sequence, reading };
    },
    of(kept, policy) {
      if (!policy?.phases?.reading || kept === undefined) return undefined;
      if (last?.reading.kept === kept) return last;
      throw new RangeError(
        `Cannot go on from what '${policy.name}' kept: the prompt was read again since; ask what it ` +
          "keeps again",
      );
    },
    [Symbol.dispose]: free,
  };
}
