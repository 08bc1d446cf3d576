import { ValidationError } from "@cliffy/command";

/** Refuses a count that is too small. */
export function atLeast(flag: string, value: number | undefined, min: number): void {
  if (value === undefined || value >= min) return;
  throw new ValidationError(`Option "${flag}" must be at least ${min}, got ${value}.`);
}

/** Whole numbers in a list such as '1024,2048'. */
export function wholeNumbers(flag: string, list: string, min: number): readonly number[] {
  return list.split(",").map((text) => {
    const value = Number(text.trim());
    if (text.trim() !== "" && Number.isSafeInteger(value) && value >= min) return value;
    throw new ValidationError(
      `Option "${flag}" must be whole numbers of at least ${min}, as in '1024,2048', got '${text.trim()}'.`,
    );
  });
}
