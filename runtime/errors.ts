/** A mistake that the user can mend: shown as one sentence, without a stack. */
export class KvjudgeError extends Error {
  /** Name of the class. */
  override readonly name: string = "KvjudgeError";

  /**
   * Options of the library that the message quotes, as in `'budget'`: whoever calls them by other
   * names, as the command line does, puts those in their place.
   */
  readonly options: readonly string[];

  /** Messages quote files of strangers: control characters are escaped, long quotes cut. */
  constructor(message: string, options?: ErrorOptions & { readonly options?: readonly string[] }) {
    super(readable(message), options);
    this.options = options?.options ?? [];
  }
}

/** Longer than any sentence of ours without a quote. */
const LONGEST = 1500;

function readable(message: string): string {
  // The end names the way out. Cut before and after: an escape is longer than its character.
  const escaped = cutMiddle(message).replace(
    /[^\P{Cc}\n]/gu,
    (character) => JSON.stringify(character).slice(1, -1).replace(/^[\x7f-\x9f]$/, escapeCode),
  );
  return cutMiddle(escaped);
}

function cutMiddle(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 500)} … ${text.slice(-400)}` : text;
}

/** What JSON leaves as it is. */
function escapeCode(character: string): string {
  return `\\u00${character.charCodeAt(0).toString(16)}`;
}

/** A checkpoint, tokenizer or soft-token file is unsupported, damaged or incomplete. */
export class CheckpointError extends KvjudgeError {
  /** Always `"CheckpointError"`. */
  override readonly name = "CheckpointError";
}

/** A budget cannot be met. */
export class BudgetError extends KvjudgeError {
  /** Always `"BudgetError"`. */
  override readonly name = "BudgetError";
}

/** A prompt or a generation setting is unusable. */
export class PromptError extends KvjudgeError {
  /** Always `"PromptError"`. */
  override readonly name = "PromptError";
}

/** A constraint on an answer cannot be met, or asks for what cannot be enforced. */
export class ConstraintError extends KvjudgeError {
  /** Always `"ConstraintError"`. */
  override readonly name = "ConstraintError";
}

/** A policy is unknown, or broke its contract. */
export class PolicyError extends KvjudgeError {
  /** Always `"PolicyError"`. */
  override readonly name = "PolicyError";
}

/** A policy asked for evidence that it did not declare. */
export class EvidenceError extends KvjudgeError {
  /** Always `"EvidenceError"`. */
  override readonly name = "EvidenceError";
}

/** A model could not be fetched, verified or stored. */
export class FetchError extends KvjudgeError {
  /** Always `"FetchError"`. */
  override readonly name = "FetchError";
}

/** A file could not be written. */
export class StorageError extends KvjudgeError {
  /** Always `"StorageError"`. */
  override readonly name = "StorageError";
}

/** A saved cache is damaged, or belongs to another model. */
export class SavedCacheError extends KvjudgeError {
  /** Always `"SavedCacheError"`. */
  override readonly name = "SavedCacheError";
}

/** A device is missing, or cannot do or hold what was asked of it. */
export class DeviceError extends KvjudgeError {
  /** Always `"DeviceError"`. */
  override readonly name = "DeviceError";
}
