/**
 * The line between HTTP and what runs models: HTTP turns bodies into these requests and events into
 * replies; a scheduler knows nothing of either.
 *
 * @module
 */
import type { DocumentStore } from "./documents.ts";
import type { GenerationEvent } from "./events.ts";
import type { GenerationRequest } from "./request.ts";
import type { Token } from "./token.ts";

/** Runs requests for one or several models. Owns the models. */
export interface Scheduler {
  /** Models that can be named in a request, the default one first. */
  models(): readonly ServedModel[];
  /**
   * Takes a request. It is cancelled by its signal, and by whoever leaves the iteration: at once,
   * wherever it is.
   *
   * All that can be wrong with a request is found before the first event, `accepted`, and thrown by
   * the first `next()`: an error of `errors.ts`, or the library's own (`OptionError`, `PolicyError`,
   * `BudgetError`, `PromptError`). What goes wrong later is thrown where it happens. A request that
   * was cancelled throws its signal's reason.
   */
  submit(request: GenerationRequest): AsyncIterable<GenerationEvent>;
  /**
   * The tokens of a text.
   *
   * @throws {UnknownModelError} If there is no such model.
   */
  tokenize(model: string | undefined, text: string, options?: TokenizeOptions): Promise<Token[]>;
  /**
   * The text of tokens.
   *
   * @throws {UnknownModelError} If there is no such model.
   * @throws {PromptError} If an id is out of range.
   */
  detokenize(model: string | undefined, ids: readonly number[]): Promise<string>;
  /** Documents that were read and compressed once. */
  readonly documents: DocumentStore;
  /** Counts and sizes, for metrics. */
  stats(): SchedulerStats;
  /** Resolves once the default model is loaded, rejects if it cannot be. */
  readonly ready: Promise<void>;
  /**
   * Takes no more requests (`StoppingError`), lets those that run and wait end, and frees everything.
   *
   * @param options.now A signal that ends them at once.
   */
  close(options?: { readonly now?: AbortSignal }): Promise<void>;
}

/** How a text is tokenized. */
export interface TokenizeOptions {
  /** Whether control tokens written in the text become their ids. @default {false} */
  readonly special?: boolean;
  /** Whether a BOS token opens it, where the model has one. @default {false} */
  readonly bos?: boolean;
}

/** What is said of a model. */
export interface ServedModel {
  /** The name that requests give. */
  readonly id: string;
  /** Unix time in seconds at which the server began to serve it. */
  readonly created: number;
  readonly loaded: boolean;
  /** What is known once it was loaded. */
  readonly facts?: ServedModelFacts;
}

/** What is known of a model that was loaded once. */
export interface ServedModelFacts {
  /** Tokens that a prompt and its answer may have. */
  readonly context: number;
  readonly vocabulary: number;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** The checkpoint's family, such as `llama`. */
  readonly family: string;
  readonly precision: string;
  readonly fingerprint: string;
  readonly hasChatTemplate: boolean;
  /** Ids that end an answer. */
  readonly eosIds: readonly number[];
  readonly bosId?: number;
}

/** Counts since the start, and sizes now. */
export interface SchedulerStats {
  readonly running: number;
  readonly waiting: number;
  /** Sequences that can run at once. */
  readonly parallel: number;
  /** Bytes of KV caches, those of shared prefixes and documents in memory too; and their bound. */
  readonly cacheBytes: number;
  readonly cacheMemory: number;
  /** Prompt tokens looked for among what was read before, and found there. */
  readonly prefixQueries: number;
  readonly prefixHits: number;
  readonly promptTokens: number;
  readonly generationTokens: number;
  readonly evictions: number;
  /** Decoding steps of the engine, and tokens in them: their ratio is the mean batch. */
  readonly steps: number;
  readonly stepTokens: number;
}
