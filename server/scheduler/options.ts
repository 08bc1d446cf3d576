import type { CachePrecision } from "../../runtime/cache/narrow_rows.ts";
import type { LoadOptions } from "../../runtime/model.ts";
import type { EvictionSettings } from "./request.ts";

/** How a scheduler runs. */
export interface SchedulerOptions {
  /** The default one first; it is loaded at once, others when first asked for. */
  readonly models: readonly ModelSource[];
  /** How models are loaded. */
  readonly load: Pick<LoadOptions, "precision" | "device" | "threads" | "home" | "weightCopies">;
  /** Eviction of requests that say nothing of it. */
  readonly eviction: EvictionSettings | false;
  /** Sequences that are decoded together. */
  readonly parallel: number;
  /** Requests that may wait; more are refused. */
  readonly maxQueue: number;
  /** Bytes of KV caches: what runs, prefixes and documents. */
  readonly cacheMemory: number;
  /** How caches are held that rest, and documents on disk. @default {"fp32"} */
  readonly cachePrecision?: CachePrecision;
  /** Where documents stay; in memory alone if absent. */
  readonly cacheFolder?: string;
  /** Store that several servers share documents through; needs a folder. */
  readonly store?: string;
  /** Bytes of documents in that folder; those that were used least recently go. @default {16 GiB} */
  readonly folderBytes?: number;
  /** Bytes of weights; the model that was asked for longest ago is unloaded. All stay if absent. */
  readonly modelMemory?: number;
  /** Milliseconds that a request may take. */
  readonly timeout: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Gets what somebody who watches the server should know. */
  readonly log: (text: string) => void;
}

/** A model that is served. */
export interface ModelSource {
  /** The name that requests give. */
  readonly id: string;
  /** What `loadModel` takes. */
  readonly source: string;
}
