import { KvjudgeError } from "../runtime/errors.ts";

/** A queue cannot be reached, or what it holds cannot be worked on. */
export class QueueError extends KvjudgeError {
  /** Always `"QueueError"`. */
  override readonly name = "QueueError";
}
