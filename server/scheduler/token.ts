/** One token. */
export interface Token {
  readonly id: number;
  /** Its own text; a replacement character where its bytes are a part of one. */
  readonly token: string;
  readonly bytes: readonly number[];
}
