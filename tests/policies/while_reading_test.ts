import { assert, assertEquals, assertThrows } from "@std/assert";
import { compose } from "../../policies/compose.ts";
import { full } from "../../policies/full.ts";
import { oracle } from "../../policies/oracle.ts";
import { OptionError } from "../../policies/policy.ts";
import { pyramidKv } from "../../policies/pyramidkv.ts";
import { rerotate } from "../../policies/rerotate.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { whileDecoding } from "../../policies/while_decoding.ts";
import { whileReading } from "../../policies/while_reading.ts";

Deno.test("whileReading() is the inner policy, and evicts while it reads", () => {
  const inner = pyramidKv({ window: 8 });
  const policy = whileReading({ inner, every: 16 });
  assertEquals(policy.phases, { reading: { every: 16 } });
  assertEquals([policy.evidence, policy.protect], [inner.evidence, inner.protect]);
  assert(policy.allocate !== undefined);
  assertEquals(rerotate({ inner: policy }).phases, policy.phases);
});

Deno.test("whileReading() and whileDecoding() go into each other", () => {
  const reading = { every: 16, keep: 64 };
  const decoding = { every: 8, target: 32 };
  const inner = snapKv({ window: 8 });
  const both = { reading, decoding };
  const inside = whileReading({ inner, ...reading });
  assertEquals(whileDecoding({ inner: inside, ...decoding }).phases, both);
  const outside = whileReading({ inner: whileDecoding({ inner, ...decoding }), ...reading });
  assertEquals(outside.phases, both);
});

Deno.test("whileReading() refuses what it cannot wrap, and options out of range", () => {
  const cases: [options: object, message: string][] = [
    [{ inner: whileReading() }, "Cannot wrap 'while_reading' in 'while_reading': it evicts"],
    [{ inner: oracle() }, "it judges by the model's answer to the whole prompt"],
    [
      { inner: snapKv({ window: 32 }), keep: 31 },
      "it always keeps 32 tokens, more than the 31 of 'keep'; give at least 32",
    ],
    [{ inner: full() }, "'inner' must be a policy that scores and evicts"],
    [{ every: 0 }, "'every' must be an integer of at least 1, got 0"],
    [{ every: 2.5 }, "'every' must be an integer of at least 1, got 2.5"],
    [{ keep: 0 }, "'keep' must be an integer of at least 1, got 0"],
    [{ inner: snapKv(), kep: 3 }, "did you mean 'keep'?"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => whileReading(options), OptionError, message);
  }
  assertThrows(
    () => compose({ second: whileReading() }),
    OptionError,
    "it evicts while the prompt is read; wrap the whole, as in while_reading(compose(…))",
  );
});
