import type { ModelFacts, Policy } from "../policies/policy.ts";
import type { Engine } from "../runtime/engine/engine.ts";
import type { Sequence } from "../runtime/engine/sequence.ts";
import type { KeepRequest } from "../runtime/evict/allocate.ts";
import type { Budget } from "../runtime/evict/budget.ts";
import type { KeptTokens } from "../runtime/evict/choose.ts";

/** What `readEvidence` reads, and for whom. */
export interface EvidenceReading {
  readonly engine: Engine;
  readonly facts: ModelFacts;
  /** Token ids of the prompt. */
  readonly ids: readonly number[];
  /** Every policy that will be asked what it keeps. */
  readonly policies: readonly Policy[];
  /** Tokens of the model's own greedy answer, at most. */
  readonly answerTokens: number;
  /**
   * Whether an answer that begins with these ids ends with them, the model's own and those of policies;
   * where the model ends it nothing is asked. Evidence that is made of an answer goes on.
   */
  readonly isOver?: (ids: readonly number[]) => boolean;
  /** A known answer, which then stands for the model's own everywhere. */
  readonly answer?: readonly number[];
  /**
   * Tokens that follow the prompt and are not evicted, such as a question that comes when the prompt
   * was read: no policy judges by them but the one that knows the answer.
   */
  readonly then?: readonly number[];
  /** Prompt tokens read at a time. @default {as of a session} */
  readonly chunk?: number;
  /** Which budgets give way to what a policy protects. @default {"none": they are refused} */
  readonly raise?: KeepRequest["raise"];
  /** Milliseconds, to measure phases with. @default {performance.now} */
  readonly now?: () => number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * One prompt, read once with its whole cache kept, and the evidence of several policies. Owns its
 * cache.
 */
export interface PromptEvidence extends Disposable {
  /** Tokens of the prompt. */
  readonly tokens: number;
  /** The greedy answer with the whole cache, the token that ended it included, or the known one. */
  readonly answer: readonly number[];
  /** Bytes of the whole cache that are allocated. */
  readonly bytes: number;
  /** Milliseconds of reading and of decoding the answer. */
  readonly times: { readonly prefill: number; readonly answer: number };
  /** Attention of the answer's queries, `[heads × tokens]` per global layer. */
  readonly answerAttention: readonly Float32Array[];
  /**
   * Attention that a policy judges by, `[heads × tokens]` per global layer; absent where it needs none, or
   * where it depends on the budget.
   */
  attention(policy: Policy): readonly Float32Array[] | undefined;
  /**
   * What a policy keeps at a budget, `[layer][KV head]`; of a layer that slides, what it holds. Changes
   * nothing. A policy that evicts while it reads reads the prompt again for it; what it kept is good
   * until the next such policy is asked.
   */
  keep(policy: Policy, budget: Budget): Promise<KeptTokens>;
  /** Milliseconds that gathering a policy's evidence took, where it does not depend on the budget. */
  evidenceTime(policy: Policy): number;
  /** Milliseconds that a policy read for, where it evicts while it reads. */
  readingTime(kept: KeptTokens, policy: Policy): number;
  /** Logits of the prompt's last token. */
  readonly logits: Float32Array;
  /**
   * The greedy answer when only some tokens are kept. The whole cache stays as it is.
   *
   * @param by What evicted: if it wants to, it rerotates keys, and evicts while the answer is written.
   */
  answerFrom(
    kept: KeptTokens,
    tokens: number,
    by?: EvictedBy,
  ): Promise<EvictedWork<readonly number[]>>;
  /**
   * Does something with a copy of the cache that holds only what is kept, or everything.
   *
   * @param kept What is kept; everything if absent.
   * @param by What evicted, if it rerotates keys.
   */
  workFrom<T>(
    kept: KeptTokens | undefined,
    work: (sequence: Sequence) => Promise<T>,
    by?: Pick<EvictedBy, "policy">,
  ): Promise<EvictedWork<T>>;
}

/** What evicted. */
export interface EvictedBy {
  readonly policy: Policy;
  readonly budget: Budget;
}

/** What was made of what was kept. */
export interface EvictedWork<T> {
  readonly result: T;
  /** Bytes of the cache that were allocated after the eviction. */
  readonly bytes: number;
  /** Milliseconds of dropping the rest, and of the work. */
  readonly times: { readonly compact: number; readonly work: number };
}
