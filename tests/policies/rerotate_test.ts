import { assertEquals, assertThrows } from "@std/assert";
import { adaKv } from "../../policies/ada_kv.ts";
import { OptionError } from "../../policies/policy.ts";
import { rerotate } from "../../policies/rerotate.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { whileDecoding } from "../../policies/while_decoding.ts";

Deno.test("rerotate() judges as the inner policy does, and asks for positions without gaps", () => {
  const inner = adaKv({ inner: snapKv({ window: 8 }) });
  const policy = rerotate({ inner });
  assertEquals(policy.positions, "contiguous");
  assertEquals([policy.evidence, policy.protect], [inner.evidence, inner.protect]);
  assertEquals(policy.allocateHeads, inner.allocateHeads);
  assertEquals(whileDecoding({ inner: policy }).positions, "contiguous");
});

Deno.test("rerotate() refuses itself inside, and unknown options", () => {
  assertThrows(() => rerotate({ inner: rerotate() }), OptionError, "it rerotates its keys already");
  assertThrows(
    () => Reflect.apply(rerotate, undefined, [{ sinks: 4 }]),
    OptionError,
    "Cannot make policy 'rerotate'",
  );
});
