import type { UniformBudget } from "../../runtime/evict/budget.ts";
import type { TokenSpan } from "../../runtime/evict/pinned.ts";
import type { ChatPrompt } from "../prompt/chat_prompt.ts";
import type { Grammar } from "./grammar.ts";

/** What a scheduler is asked to do. Everything but the signal can be sent to a worker as it is. */
export interface GenerationRequest {
  /** A name from `models()`; the default one if absent. */
  readonly model?: string;
  readonly prompt: RequestPrompt;
  /** The id of a document that stands in front of the prompt, as it was compressed. */
  readonly document?: string;
  /** How the prompt is evicted; `false` keeps everything, absent means the server's default. */
  readonly eviction?: EvictionSettings | false;
  readonly sampling: SamplingSettings;
  /** Answers to the same prompt, which is read once. Answer `i` draws with `seed + i`. @default {1} */
  readonly choices?: number;
  /** Tokens of an answer at most; as many as the context holds if absent. 0 reads the prompt only. */
  readonly maxTokens?: number;
  /** Texts that end an answer and are not part of it. */
  readonly stop?: readonly string[];
  /** What every answer must be. */
  readonly grammar?: Grammar;
  /** Also gives the log probability of each token and of so many alternatives. */
  readonly logprobs?: number;
  /** Also gives the log probabilities of the prompt's own tokens (event `prompt`). */
  readonly promptLogprobs?: boolean;
  /** Also says which prompt tokens were kept (`kvjudge.tokens` of event `done`). */
  readonly explain?: boolean;
  /** Milliseconds until the last token; the server's bound if absent. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/** What a model is to go on from. `renderPrompt` of `server/prompt/` turns each into ids. */
export type RequestPrompt =
  | ChatPrompt
  /** Text without a template. `special`: control tokens written in it become their ids. */
  | { readonly kind: "text"; readonly text: string; readonly special?: boolean }
  | { readonly kind: "ids"; readonly ids: readonly number[] };

/** How a prompt is evicted. */
export interface EvictionSettings {
  /**
   * A name or an expression. What is a file or a URL was permitted by HTTP, and runs in a sandbox
   * always (`loadPolicy(…, { sandbox: true })`).
   */
  readonly policy: string;
  readonly budget: UniformBudget;
  /** Prompt tokens that are never evicted: all, or spans. @default {the system message} */
  readonly protect?: boolean | readonly TokenSpan[];
}

/** How tokens are drawn. */
export interface SamplingSettings {
  readonly temperature: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  /** A random one is drawn by HTTP where the request gives none. */
  readonly seed: number;
  readonly repetitionPenalty?: number;
  /** Subtracted once for each time that the answer has the token already, from -2 to 2. */
  readonly frequencyPenalty?: number;
  /** Subtracted where the answer has the token already, from -2 to 2. */
  readonly presencePenalty?: number;
  /** Added to the logits of ids, from -100 to 100. */
  readonly logitBias?: Readonly<Record<number, number>>;
}
