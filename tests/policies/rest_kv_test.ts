import { assertEquals } from "@std/assert";
import { restKv } from "../../policies/rest_kv.ts";
import { testDropPolicy } from "./_drop_tests.ts";

for (const judge of ["window", "soft"] as const) {
  testDropPolicy((options) => restKv({ ...options, judge, decay: 0.5 }), {
    ...{ judge, power: 1, decay: 0.5, projected: true },
  });
}

Deno.test("restKv() hands its decay to the measure", () => {
  const { evidence } = restKv({ window: 4, decay: 0 });
  assertEquals(evidence, {
    ...{ kind: "window", size: 4, measure: { output: "layer", power: 1, decay: 0 } },
  });
});
