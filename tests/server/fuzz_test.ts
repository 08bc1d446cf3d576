import fc from "npm:fast-check@4.10.2";
import { assert, assertEquals } from "@std/assert";
import { checkReply, MUTATED } from "./_mutated_requests.ts";
import { testApp } from "./_test_app.ts";

Deno.test("mutated requests are answered: never a 500, never a hang", async () => {
  const app = testApp();
  const seen = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(MUTATED, async (request) => {
      const status = await checkReply(app.fetch, request);
      seen.set(status, (seen.get(status) ?? 0) + 1);
    }),
    { numRuns: 500 },
  );
  assertEquals(app.logged, []);
  assert(
    (seen.get(200) ?? 0) > 50 && (seen.get(400) ?? 0) > 50,
    "they are neither all right nor all wrong",
  );
});
