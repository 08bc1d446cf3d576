/** An object without the properties that are `undefined`. */
export type Defined<T> = { [Name in keyof T]?: Exclude<T[Name], undefined> };

/** Leaves out what is `undefined`: an option that was not given, not one without a value. */
export function defined<T extends object>(values: T): Defined<T> {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Defined<T>;
}
