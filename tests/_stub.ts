/** Puts a function in the place of an object's own, until it is disposed of. */
export function stub<T extends object, Name extends keyof T>(
  object: T,
  name: Name,
  value: T[Name],
): Disposable {
  const before = object[name];
  object[name] = value;
  return {
    [Symbol.dispose]() {
      object[name] = before;
    },
  };
}
