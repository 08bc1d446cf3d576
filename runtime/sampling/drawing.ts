import type { DrawSettings } from "../../kernels/draw_settings.ts";

/** Draws of an answer's tokens that may be made where the logits are, instead of by a sampler. */
export interface Drawing {
  /** How it is drawn. */
  readonly settings: DrawSettings;
  /** Tokens of the prompt and of the answer so far. */
  readonly seen: ReadonlySet<number>;
  /** Ids that end the answer. */
  readonly ends: ReadonlySet<number>;
  /** The random numbers of the next draws, one each; none of them is used up. */
  uniforms(count: number): readonly number[];
  /** Counts a draw that was made elsewhere: its random number, where it took one, is used up. */
  drawn(): void;
}
