import type { DocumentInfo, DocumentRequest } from "../scheduler/documents.ts";
import type { KeptToken } from "../scheduler/explain.ts";
import type { GenerationEvent } from "../scheduler/events.ts";
import type { SchedulerOptions } from "../scheduler/options.ts";
import type { GenerationRequest } from "../scheduler/request.ts";
import type { SchedulerStats, ServedModel, TokenizeOptions } from "../scheduler/scheduler.ts";
import type { Token } from "../scheduler/token.ts";
import type { WireError } from "./errors_on_wire.ts";

/** What an engine's process is started for. */
export type EngineOptions = Omit<SchedulerOptions, "now" | "log">;

/** What the engine's process is told, a line of JSON each. */
export type Command =
  | { readonly kind: "start"; readonly options: EngineOptions }
  | { readonly kind: "submit"; readonly call: number; readonly request: GenerationRequest }
  | { readonly kind: "call"; readonly call: number; readonly task: Task }
  /** Ends a request or a task. */
  | { readonly kind: "cancel"; readonly call: number }
  /** Ends all, at once or when what runs has ended. */
  | { readonly kind: "close"; readonly now: boolean };

/** What gives one result. */
export type Task =
  | {
    readonly kind: "tokenize";
    readonly model: string | undefined;
    readonly text: string;
    readonly options: TokenizeOptions;
  }
  | {
    readonly kind: "detokenize";
    readonly model: string | undefined;
    readonly ids: readonly number[];
  }
  | {
    readonly kind: "create_document";
    readonly request: Omit<DocumentRequest, "onProgress" | "signal">;
  }
  | { readonly kind: "document_tokens"; readonly id: string }
  | { readonly kind: "remove_document"; readonly id: string };

/** What a task or a request came to. */
export type TaskResult =
  | { readonly kind: "tokens"; readonly tokens: Token[] }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "document"; readonly document: DocumentInfo }
  | { readonly kind: "kept_tokens"; readonly tokens: readonly KeptToken[] }
  | { readonly kind: "done" };

/** What the engine's process says, a line of JSON each. */
export type Report =
  | { readonly kind: "ready" }
  | { readonly kind: "not_ready"; readonly error: WireError }
  | { readonly kind: "event"; readonly call: number; readonly event: GenerationEvent }
  | {
    readonly kind: "progress";
    readonly call: number;
    readonly done: number;
    readonly total: number;
  }
  | { readonly kind: "result"; readonly call: number; readonly result: TaskResult }
  | { readonly kind: "error"; readonly call: number; readonly error: WireError }
  /** How things stand: sent before each result and error, and whenever it changed. */
  | { readonly kind: "state"; readonly state: EngineState }
  | { readonly kind: "log"; readonly text: string };

/** How things stand in the engine's process. */
export interface EngineState {
  readonly models: readonly ServedModel[];
  readonly stats: SchedulerStats;
  readonly documents: readonly DocumentInfo[];
}
