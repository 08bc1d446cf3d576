import { assertThrows } from "@std/assert";
import { checkPolicy } from "../../plugins/check_policy.ts";
import { compose } from "../../policies/compose.ts";
import { rerotate } from "../../policies/rerotate.ts";
import { PolicyError } from "../../runtime/errors.ts";

const mine = { name: "mine", evidence: { kind: "none" }, score: () => new Float32Array(0) };

Deno.test("checkPolicy() takes policies that turn keys or evict in rounds, and refuses halves of them", () => {
  checkPolicy(rerotate({ inner: compose() }), "mine.ts");
  checkPolicy({ ...mine, first: { policy: mine, tokens: 9 } }, "mine.ts");
  const cases: readonly [object, string][] = [
    [{ positions: "true" }, `its 'positions' must be "contiguous" or absent, got true`],
    [{ first: 2 }, "its 'first' must be like { policy, factor: 2 }, got 2"],
    [{ first: { policy: { ...mine, name: "No" } } }, "of the policy in its 'first', its 'name'"],
    [
      { first: { policy: mine, factor: 0.5 } },
      "'factor' of its 'first' must be a number of at least",
    ],
    [{ first: { policy: mine, tokens: 1.5 } }, "'tokens' of its 'first' must be an integer of at"],
  ];
  for (const [members, message] of cases) {
    assertThrows(() => checkPolicy({ ...mine, ...members }, "mine.ts"), PolicyError, message);
  }
});
