import { KvjudgeError } from "../runtime/errors.ts";

/** Training data, settings or the files of a training run are unusable. */
export class TrainingError extends KvjudgeError {
  /** Always `"TrainingError"`. */
  override readonly name = "TrainingError";
}
