import { assertEquals, assertThrows } from "@std/assert";
import { lookaheadQCache } from "../../policies/lookahead_q_cache.ts";
import { OptionError } from "../../policies/policy.ts";
import { fakeLayer } from "../_fake_layer.ts";

const layer = fakeLayer({
  ...{ heads: 2, kvHeads: 1, headDim: 1, length: 5 },
  attention: new Float32Array([4, 0, 0, 2, 8, 0, 0, 0, 6, 8]),
});

Deno.test("lookaheadQCache() pools the draft's attention over the whole prompt", async () => {
  const scores = await lookaheadQCache({ window: 1, kernel: 3 }).score(layer);
  assertEquals(scores, new Float32Array([2, 2, 4, 8, 8]));
});

Deno.test("lookaheadQCache() leaves the window apart where it judges too", async () => {
  const policy = lookaheadQCache({ window: 1, kernel: 3, plus: true });
  assertEquals(await policy.score(layer), new Float32Array([2, 2, 4, 4, 8]));
  assertEquals(policy.protect, { recent: 1 });
});

Deno.test("lookaheadQCache() refuses options out of range", () => {
  assertThrows(
    () => lookaheadQCache({ steps: 0 }),
    OptionError,
    "'steps' must be an integer of at least 1, got 0",
  );
});
