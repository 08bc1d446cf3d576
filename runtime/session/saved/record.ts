import { type Budget, checkBudget } from "../../evict/budget.ts";
import { isRecord } from "../../checkpoint/read_json.ts";
import type { TokenSpan } from "../../evict/pinned.ts";
import type { Transcript } from "../transcript.ts";
import type { ChatMessage } from "../../tokenizer/tokenizer.ts";

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
  /** Tokens of the text less the position of the next, where keys were rerotated to other positions. */
  readonly shift?: number;
  /** Tokens that no eviction may take. */
  readonly spans?: readonly TokenSpan[];
  /** Tokens that follow, and are not in the cache yet. */
  readonly pending: readonly number[];
  /** What the tokens are. */
  readonly told: Transcript;
  /** What the model has answered since. */
  readonly answer?: string;
}

/**
 * Reads a record; what it means for the numbers beside it is not looked at.
 *
 * @returns The record, or what is wrong with it.
 */
export function parseRecord(text: string): SavedCacheRecord | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "its record is not valid JSON";
  }
  if (!isRecord(value)) return "its record is not an object";
  const { model, policy, planned, tail, shift, spans, pending, told, answer } = value;
  if (
    !isRecord(model) || !isName(model.fingerprint) ||
    !(model.name === undefined || isName(model.name))
  ) return "its record names no model";
  if (
    !isRecord(policy) || !isName(policy.name) || !isRecord(policy.options) ||
    !isBudget(policy.budget) || typeof policy.evicted !== "boolean" ||
    typeof policy.judgedByQueries !== "boolean"
  ) return "its record names no policy";
  if (!isCount(planned) || !isCount(tail)) return "its record lacks positions";
  if (!(shift === undefined || isCount(shift))) return "its record has no good shift of positions";
  if (!(spans === undefined || areSpans(spans))) return "its record has no good protected spans";
  if (!Array.isArray(pending) || !pending.every(isCount)) return "its record lacks pending tokens";
  if (!isTranscript(told) || !(answer === undefined || typeof answer === "string")) {
    return "its record does not say what its tokens are";
  }
  const { name, options, budget, evicted, judgedByQueries } = policy;
  return {
    model: {
      fingerprint: model.fingerprint,
      ...(model.name === undefined ? {} : { name: model.name }),
    },
    policy: { name, options, budget, evicted, judgedByQueries },
    planned,
    tail,
    ...(shift === undefined ? {} : { shift }),
    ...(spans === undefined ? {} : { spans }),
    pending,
    told,
    ...(answer === undefined ? {} : { answer }),
  };
}

/** Whether spans are in order, with gaps between them. */
function areSpans(value: unknown): value is readonly TokenSpan[] {
  let last = -1;
  return Array.isArray(value) && value.every((span) => {
    if (!isRecord(span) || !isCount(span.from) || !isCount(span.to)) return false;
    const sound = span.from > last && span.from < span.to;
    last = span.to;
    return sound;
  });
}

/** Names are shown: what moves a terminal's cursor is none. */
function isName(value: unknown): value is string {
  return typeof value === "string" && /^[^\p{Cc}]{1,4096}$/u.test(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}

function isBudget(value: unknown): value is Budget {
  try {
    checkBudget(value as Budget);
    return true;
  } catch {
    return false;
  }
}

function isTranscript(value: unknown): value is Transcript {
  if (!isRecord(value)) return false;
  const { kind, document, system, messages, open } = value;
  switch (kind) {
    case "raw":
      return true;
    case "document":
      return typeof document === "string" &&
        (system === undefined || typeof system === "string");
    case "chat":
      return Array.isArray(messages) && messages.length > 0 && messages.every(isMessage) &&
        typeof open === "boolean";
    default:
      return false;
  }
}

function isMessage(value: unknown): value is ChatMessage {
  return isRecord(value) && typeof value.role === "string" && typeof value.content === "string";
}
