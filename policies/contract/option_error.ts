/** A policy's option is out of range or of the wrong type. */
export class OptionError extends RangeError {
  /** Always `"OptionError"`. */
  override readonly name = "OptionError";
}
