import type { CachePrecision } from "../../cache/narrow_rows.ts";
import type { SavedCacheRecord } from "./record.ts";

/** What a saved cache holds. */
export interface SavedCacheInfo {
  /** The file. */
  readonly path: string;
  /** Size of the file. */
  readonly bytes: number;
  /** Tokens read and answered, evicted ones too. */
  readonly tokens: number;
  /** Kept tokens, `[layer][KV head]`. */
  readonly kept: readonly (readonly number[])[];
  /** How its keys and values are held. */
  readonly precision: CachePrecision;
  /** What it says of its making. */
  readonly record: SavedCacheRecord;
}
