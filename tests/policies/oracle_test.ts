import { assertEquals, assertThrows } from "@std/assert";
import { oracle } from "../../policies/oracle.ts";
import { OptionError } from "../../policies/policy.ts";
import { fakeLayer } from "../_fake_layer.ts";

Deno.test("oracle() asks for the queries of the greedy answer, or of the given ids", () => {
  assertEquals(oracle().evidence, { kind: "given", queries: { kind: "greedy", steps: 64 } });
  assertEquals(oracle({ tokens: 8 }).evidence, {
    kind: "given",
    queries: { kind: "greedy", steps: 8 },
  });
  const ids = [1, 2];
  const policy = oracle({ ids });
  ids.push(3);
  assertEquals(policy.evidence, { kind: "given", queries: { kind: "tokens", ids: [1, 2] } });
});

Deno.test("oracle() scores by the attention of the group", async () => {
  const attention = new Float32Array([1, 2, 3, 4]);
  const layer = fakeLayer({ heads: 2, kvHeads: 1, headDim: 1, length: 2, attention });
  assertEquals(await oracle().score(layer), new Float32Array([2, 3]));
});

Deno.test("oracle() refuses options out of range, and both at once", () => {
  assertThrows(
    () => oracle({ tokens: 0 }),
    OptionError,
    "'tokens' must be an integer of at least 1",
  );
  assertThrows(
    () => oracle({ ids: [] }),
    OptionError,
    "'ids' must be a list of at least one token id",
  );
  assertThrows(() => oracle({ ids: [1, -1] }), OptionError, "got [1,-1]");
  assertThrows(() => oracle({ ids: [1], tokens: 2 }), OptionError, "give 'tokens' or 'ids'");
});
