import type { ChatMessage } from "../../runtime/tokenizer/tokenizer.ts";

/** What a conversation is about, as far as the mixture of the training data goes. */
export type ExampleKind = "general" | "code";

/** A prompt and perhaps its answer. */
export interface Turns {
  /** Ends with a user turn; earlier turns alternate, a system turn may open. */
  readonly messages: readonly ChatMessage[];
  /** The answer that the data give to the last user turn. */
  readonly response?: string;
  /** How the answer begins: stands there already when it is asked for. */
  readonly begun?: string;
  /** What the user adds to the last turn once it was read, and perhaps evicted: a question. */
  readonly later?: string;
}

/** One conversation to train on. */
export interface TrainingExample extends Turns {
  /** Kind of conversation. */
  readonly kind: ExampleKind;
  /** Line of the file on which the record starts, from 1. */
  readonly line: number;
}

/** A record that cannot be used. */
export interface SkippedRecord extends Pick<TrainingExample, "line"> {
  /** Place among the file's records, from 1: a file may hold them all in one line. */
  readonly record: number;
  /** Reads on from "the record is skipped because". */
  readonly reason: string;
}

/** What a file of conversations holds. */
export interface ConversationSet {
  /** Usable records, in the order of the file. */
  readonly examples: readonly TrainingExample[];
  /** Unusable records, in the order of the file. */
  readonly skipped: readonly SkippedRecord[];
  /** SHA-256 of the file's bytes, lower-case hexadecimal. */
  readonly hash: string;
}
