/** When a policy evicts, besides after a prompt was read. */
export interface Phases {
  /** Absent: what is written stays. */
  readonly decoding?: DecodingPhase;
}

/** How a policy evicts while an answer is written. */
export interface DecodingPhase {
  /** Tokens that are written between two evictions. */
  readonly every: number;
  /** Tokens per KV head and layer, on average, that each eviction leaves. @default {the budget} */
  readonly target?: number;
}
