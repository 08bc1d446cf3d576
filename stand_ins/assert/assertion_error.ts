/** What a failed assertion throws. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws, with the caller's own words after the reason if there are any. */
export function failWith(reason: string, message: string | undefined): never {
  throw new AssertionError(`${reason}${message ? `: ${message}` : "."}`);
}
