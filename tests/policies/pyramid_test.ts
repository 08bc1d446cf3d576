import { assert, assertEquals, assertThrows } from "@std/assert";
import { judgeQ } from "../../policies/judge_q.ts";
import { OptionError } from "../../policies/policy.ts";
import { pyramid } from "../../policies/pyramid.ts";
import { pyramidKv } from "../../policies/pyramidkv.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { keepPerLayer } from "../../runtime/evict/allocate.ts";

const shape = { layers: 6, kvHeads: 2, headDim: 8 };

Deno.test("pyramid() around snapkv divides as pyramidkv does", async () => {
  for (const budget of [9, 16, 40]) {
    const request = { length: 200, budget, shape };
    const wrapped = pyramid({ inner: snapKv({ window: 8 }), beta: 4 });
    assertEquals(
      await keepPerLayer(wrapped, request),
      await keepPerLayer(pyramidKv({ window: 8, beta: 4 }), request),
    );
  }
});

Deno.test("pyramid() leaves each layer what a judge keeps of any budget", async () => {
  for (const budget of [19, 20, 34, 60]) {
    const divided = (share: "head" | "layer") =>
      keepPerLayer(pyramid({ inner: judgeQ({ window: 19, share }) }), {
        length: 200,
        budget,
        shape,
      });
    const counts = await divided("layer");
    assertEquals(counts, await divided("head"));
    assert(counts.every((count) => count >= 19), `${counts}`);
  }
});

Deno.test("pyramid() refuses a policy that divides its budget itself", () => {
  assertThrows(
    () => pyramid({ inner: pyramidKv() }),
    OptionError,
    "Cannot wrap 'pyramidkv' in 'pyramid': it divides its budget among the layers itself",
  );
  assertThrows(
    () => pyramid({ inner: pyramid({ inner: judgeQ() }) }),
    OptionError,
    "Cannot wrap 'pyramid' in 'pyramid'",
  );
});
