/** When a policy evicts, besides after a prompt was read. */
export interface Phases {
  /** Absent: a prompt is read whole before anything is evicted. */
  readonly reading?: ReadingPhase;
  /** Absent: what is written stays. */
  readonly decoding?: DecodingPhase;
}

/** How a policy evicts while a prompt is read. */
export interface ReadingPhase {
  /** Tokens that are read between two evictions. */
  readonly every: number;
  /**
   * Tokens per KV head and layer, on average, that each of them leaves; the budget where that is more.
   *
   * @default {four times the budget}
   */
  readonly keep?: number;
}

/** How a policy evicts while an answer is written. */
export interface DecodingPhase {
  /** Tokens that are written between two evictions. */
  readonly every: number;
  /** Tokens per KV head and layer, on average, that each eviction leaves. @default {the budget} */
  readonly target?: number;
}
