import { assertEquals, assertThrows } from "@std/assert";
import { judgeQ } from "../../policies/judge_q.ts";
import { OptionError } from "../../policies/policy.ts";
import { pyramid } from "../../policies/pyramid.ts";
import { pyramidKv } from "../../policies/pyramidkv.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { keepPerLayer } from "../../runtime/evict/allocate.ts";

const shape = { layers: 6, kvHeads: 2, headDim: 8 };

Deno.test("pyramid() around snapkv divides as pyramidkv does", () => {
  for (const budget of [9, 16, 40]) {
    const request = { length: 200, budget, shape };
    const wrapped = pyramid({ inner: snapKv({ window: 8 }), beta: 4 });
    assertEquals(
      keepPerLayer(wrapped, request),
      keepPerLayer(pyramidKv({ window: 8, beta: 4 }), request),
    );
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
