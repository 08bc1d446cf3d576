/** Ids of texts without control tokens, and the tokens of ids. */
export interface VocabularyModel {
  /** Number of tokens. */
  readonly size: number;
  /** The token of an id, if it has one. */
  token(id: number): string | undefined;
  /** The id of a token, if it has one. */
  id(token: string): number | undefined;
  /** Text in the form that is cut into tokens. Absent: it is cut as it stands. */
  readonly normalize?: (text: string) => string;
  /** What is put before a stretch of normalized text. Absent: nothing. */
  readonly prefix?: string;
  /**
   * Ids of normalized text in which no added token is looked for.
   *
   * @param section Number of the stretch of text that it is, counted from the start of the whole.
   * @param controls Ids that no text becomes.
   */
  encode(text: string, section: number, controls: ReadonlySet<number>): number[];
}
