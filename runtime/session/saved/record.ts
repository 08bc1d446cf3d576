import * as v from "npm:valibot@1.5.0";
import { type Budget, checkBudget } from "../../evict/budget.ts";
import type { TokenSpan } from "../../evict/pinned.ts";
import { ANY_OBJECT, type Checked, checkJson, COUNT, type SchemaOf } from "../../schema.ts";
import type { Transcript } from "../transcript.ts";

/** What decided which tokens were kept, and how many. */
export interface Judge {
  /** Name of the policy. */
  readonly name: string;
  /** Its options. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The budget that it kept to. */
  readonly budget: Budget;
  /** Whether anything was evicted. */
  readonly evicted: boolean;
  /** Whether it judged by queries, of which a question to come was none. */
  readonly judgedByQueries: boolean;
}

/** What a saved cache says beside its numbers. */
export interface SavedCacheRecord {
  /** The model that it was made with. */
  readonly model: { readonly name?: string; readonly fingerprint: string };
  /** What decided which tokens were kept. */
  readonly policy: Judge;
  /** Tokens that dynamic RoPE scaling reckons with. */
  readonly planned: number;
  /** Tokens at the end that no eviction has touched. */
  readonly tail: number;
  /**
   * Tokens of the text less the position of the next, where keys were rerotated to other positions, or
   * soft tokens stand among the tokens.
   */
  readonly shift?: number;
  /** Windows of the layers, null for a global one; absent where all are. */
  readonly windows?: readonly (number | null)[];
  /** Soft tokens that layers that slide have read besides; absent where there were none. */
  readonly softTokens?: number;
  /** Tokens that no eviction may take. */
  readonly spans?: readonly TokenSpan[];
  /** Tokens that follow, and are not in the cache yet. */
  readonly pending: readonly number[];
  /** What the tokens are. */
  readonly told: Transcript;
  /** What the model has answered since. */
  readonly answer?: string;
}

/** Names are shown: what moves a terminal's cursor is none. */
const NAME = v.pipe(
  v.string(),
  v.regex(/^[^\p{Cc}]{1,4096}$/u, "a name without control characters"),
);

const BUDGET = v.custom<Budget>((value) => {
  try {
    checkBudget(value as Budget);
    return true;
  } catch {
    return false;
  }
}, "a budget: tokens, a ratio kept or bytes");

const SPANS = v.pipe(
  v.array(v.object({ from: COUNT, to: COUNT })),
  v.check(
    (spans) => spans.every(({ from, to }, at) => from < to && from > (spans[at - 1]?.to ?? -1)),
    "spans of tokens in order, with gaps between them",
  ),
);

const TRANSCRIPT: SchemaOf<Transcript> = v.variant("kind", [
  v.object({ kind: v.literal("raw") }),
  v.object({
    kind: v.literal("document"),
    document: v.string(),
    system: v.exactOptional(v.string()),
  }),
  v.object({
    kind: v.literal("chat"),
    messages: v.pipe(
      v.array(v.object({ role: v.string(), content: v.string() })),
      v.minLength(1, "messages, one at least"),
    ),
    open: v.boolean(),
  }),
]);

const SAVED_CACHE_RECORD: SchemaOf<SavedCacheRecord> = v.object({
  model: v.object({ name: v.exactOptional(NAME), fingerprint: NAME }),
  policy: v.object({
    name: NAME,
    options: ANY_OBJECT,
    budget: BUDGET,
    evicted: v.boolean(),
    judgedByQueries: v.boolean(),
  }),
  planned: COUNT,
  tail: COUNT,
  shift: v.exactOptional(v.pipe(v.number(), v.safeInteger())),
  windows: v.exactOptional(v.array(v.nullable(v.pipe(COUNT, v.minValue(1))))),
  softTokens: v.exactOptional(COUNT),
  spans: v.exactOptional(SPANS),
  pending: v.array(COUNT),
  told: TRANSCRIPT,
  answer: v.exactOptional(v.string()),
});

/** Reads a record; what it means for the numbers beside it is not looked at. */
export function parseRecord(text: string): Checked<SavedCacheRecord> {
  return checkJson(SAVED_CACHE_RECORD, text);
}
