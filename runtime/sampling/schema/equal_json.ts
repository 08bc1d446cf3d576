/** Whether two JSON values are the same, whatever the order of their members. */
export function equalJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const members = Object.entries(a);
  return members.length === Object.keys(b).length &&
    members.every(([name, value]) =>
      Object.hasOwn(b, name) && equalJson(value, Reflect.get(b, name))
    );
}
