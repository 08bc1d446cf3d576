import { assertEquals, assertThrows } from "@std/assert";
import { BudgetError } from "../../../runtime/errors.ts";
import { InvalidRequestError } from "../../../server/http/request_error.ts";
import { evictionOf } from "../../../server/policies/eviction.ts";
import { policyPermit } from "../../../server/policies/permit.ts";

const NONE = { policy: false, budget: 512 } as const;
const OWN = { policy: "./servers_own.ts", budget: { ratio: 0.5 } } as const;
const permit = policyPermit([]);

Deno.test("a request's own words go before the server's", () => {
  assertEquals(evictionOf(undefined, NONE, permit), false);
  assertEquals(evictionOf(null, OWN, permit), OWN);
  assertEquals(evictionOf(false, OWN, permit), false);
  assertEquals(evictionOf({ policy: "snapkv" }, OWN, permit), { ...OWN, policy: "snapkv" });
  assertEquals(evictionOf({ budget: 9, policy: null }, OWN, permit), { ...OWN, budget: 9 });
  assertEquals(evictionOf({ policy: "snapkv", budget: "8MiB", protect: [[0, 5]] }, NONE, permit), {
    policy: "snapkv",
    budget: { bytes: 2 ** 23 },
    protect: [{ from: 0, to: 5 }],
  });
});

Deno.test("while_decoding and while_reading wrap the policy", () => {
  const policies = [true, false, { every: 8, target: 20 }].map((while_decoding) => {
    const eviction = evictionOf({ policy: "snapkv(window=4)", while_decoding }, NONE, permit);
    return eviction && eviction.policy;
  });
  assertEquals(policies, [
    "while_decoding(snapkv(window=4))",
    "snapkv(window=4)",
    "while_decoding(snapkv(window=4),every=8,target=20)",
  ]);
  const both = { policy: "snapkv", while_decoding: true, while_reading: { every: 9, keep: 70 } };
  const eviction = evictionOf(both, NONE, permit);
  assertEquals(
    eviction && eviction.policy,
    "while_decoding(while_reading(snapkv,every=9,keep=70))",
  );
  assertThrows(
    () => evictionOf({ policy: "snapkv", while_reading: { keep: "x" } }, NONE, permit),
    InvalidRequestError,
    "eviction.while_reading",
  );
  const forged = { policy: "snapkv", while_decoding: { "every=1,x": 1 } };
  assertThrows(() => evictionOf(forged, NONE, permit), InvalidRequestError);
  const text = { policy: "snapkv", while_decoding: { every: "/etc/x.ts" } };
  assertThrows(() => evictionOf(text, NONE, permit), InvalidRequestError);
});

Deno.test("no policy, and budgets out of range, are refused", () => {
  assertThrows(() => evictionOf({ budget: 5 }, NONE, permit), InvalidRequestError, "policy");
  for (const budget of [0, -1, 1.5, "2 potatoes", "0%"]) {
    assertThrows(() => evictionOf({ policy: "snapkv", budget }, NONE, permit), BudgetError);
  }
});
