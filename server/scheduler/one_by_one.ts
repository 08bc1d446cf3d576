/**
 * Runs work one after the other, in the order in which it is asked for; what fails fails for who asked.
 *
 * @example
 * ```ts
 * import { oneByOne } from "./one_by_one.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const inTurn = oneByOne();
 * const said: string[] = [];
 * await Promise.all([
 *   inTurn(async () => {
 *     await Promise.resolve();
 *     said.push("first");
 *   }),
 *   inTurn(() => Promise.resolve(said.push("second"))),
 * ]);
 * assertEquals(said, ["first", "second"]);
 * ```
 */
export function oneByOne(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
}
