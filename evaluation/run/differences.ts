import diff from "npm:microdiff@1.6.0";
import { fieldPath } from "../../runtime/schema.ts";

/** A place where two records differ. */
export interface Difference {
  /** As a reader of JSON would write it: `policies[0].options.window`. */
  readonly path: string;
  /** What stands there in the first record, as JSON; `nothing` where it lacks the field. */
  readonly first: string;
  /** The same of the second. */
  readonly second: string;
}

/**
 * Where two records differ, field by field, as they would be written: what is undefined is not there.
 *
 * @example
 * ```ts
 * import { differences } from "./differences.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(differences({ seed: 1, budgets: ["64"] }, { seed: 1, budgets: ["64", "32"] }), [
 *   { path: "budgets[1]", first: "nothing", second: '"32"' },
 * ]);
 * ```
 */
export function differences(first: object, second: object): readonly Difference[] {
  return diff(written(first), written(second)).map((change) => ({
    path: fieldPath(change.path),
    first: "oldValue" in change ? JSON.stringify(change.oldValue) : "nothing",
    second: "value" in change ? JSON.stringify(change.value) : "nothing",
  }));
}

function written(record: object): Record<string, unknown> {
  return JSON.parse(JSON.stringify(record));
}
