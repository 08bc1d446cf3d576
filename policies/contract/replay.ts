/** How a model is made to repeat what it has read. */
export interface Replay {
  /** Tokens of the text that are repeated at a time. */
  readonly chunk: number;
  /** First tokens of the text that every repetition sees besides what it repeats. */
  readonly sinks: number;
  /**
   * Stands before the first repetition, followed by what ends a user's turn in the model's chat
   * template. A model without a tokenizer repeats without being asked.
   */
  readonly instruction: string;
  /** Stands before the others, followed by the last tokens of the part that was repeated before. */
  readonly continuation: string;
  /** How many of these. */
  readonly overlap: number;
  /**
   * What a query gives to a token: its attention, or what that adds to the stream, `attention ·
   * ‖W_O · V‖₂ / ‖h‖₂`, where `h` is what the layer's attention reads for the query.
   *
   * @default {"attention"}
   */
  readonly measure?: "attention" | "contribution";
}
