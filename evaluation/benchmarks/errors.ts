import { KvjudgeError } from "../../runtime/errors.ts";

/** A benchmark's samples cannot be made or read. */
export class BenchmarkError extends KvjudgeError {
  /** Always `"BenchmarkError"`. */
  override readonly name = "BenchmarkError";
}
