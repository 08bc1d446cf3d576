import { KvjudgeError } from "../../runtime/errors.ts";

/** What an error reply says beside its message. */
export interface RequestProblem {
  /** The field that is wrong. */
  readonly param?: string | null;
  readonly code?: string | null;
  /** @default {400} */
  readonly status?: number;
  /** @default {"invalid_request_error"} */
  readonly type?: string;
  /** Header fields of the reply. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request that cannot be served as it is. */
export class InvalidRequestError extends KvjudgeError {
  /** Always `"InvalidRequestError"`. */
  override readonly name = "InvalidRequestError";
  constructor(message: string, readonly problem: RequestProblem = {}, options?: ErrorOptions) {
    super(message, options);
  }
}
