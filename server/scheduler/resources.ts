import type { CachePrecision } from "../../runtime/cache/narrow_rows.ts";
import type { Documents } from "../documents/document_store.ts";
import type { Admission } from "./admission.ts";
import type { GenerationEvent } from "./events.ts";
import type { ModelPool } from "./model_pool.ts";

/** A session that holds memory now. */
export interface RunningSession {
  readonly bytes: () => number;
}

/** What requests share. */
export interface SharedResources {
  readonly pool: ModelPool;
  readonly admission: Admission;
  readonly counted: {
    prefixQueries: number;
    prefixHits: number;
    promptTokens: number;
    generationTokens: number;
    evictions: number;
  };
  readonly running: Set<RunningSession>;
  /** Drops what is held for later, until so many bytes more fit. */
  readonly makeRoom: (bytes: number) => Promise<void>;
  /** How caches are held that rest. */
  readonly cachePrecision: CachePrecision;
  readonly now: () => number;
}

/** What one request runs with. */
export interface Resources extends SharedResources {
  readonly documents: Promise<Documents>;
  readonly signal: AbortSignal;
  readonly onEvent: (event: GenerationEvent) => void;
}
