/** How a token is drawn, on a device as in main memory. */
export interface DrawSettings {
  /** 0 takes the likeliest. */
  readonly temperature: number;
  /** Only so many of the likeliest tokens; 0 for all. */
  readonly topK: number;
  /** Only the likeliest whose probabilities add up to this. */
  readonly topP: number;
  /** Only those at least so many times as likely as the likeliest one. */
  readonly minP: number;
  /** What logits of tokens that were seen are divided by, those below zero multiplied with. */
  readonly repetitionPenalty: number;
}

/** A token less likely than this against the best one is never drawn. */
export const NEGLIGIBLE = 1e-9;
