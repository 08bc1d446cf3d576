import { assert, assertEquals, assertThrows } from "@std/assert";
import { chunkKv } from "../../policies/chunk_kv.ts";
import { full } from "../../policies/full.ts";
import { oracle } from "../../policies/oracle.ts";
import { OptionError } from "../../policies/policy.ts";
import { pyramidKv } from "../../policies/pyramidkv.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { whileDecoding } from "../../policies/while_decoding.ts";

Deno.test("whileDecoding() is the inner policy, and goes on while decoding", () => {
  const inner = pyramidKv({ window: 8 });
  const policy = whileDecoding({ inner, every: 16 });
  assertEquals(policy.phases, { decoding: { every: 16 } });
  assertEquals([policy.evidence, policy.protect], [inner.evidence, inner.protect]);
  assert(policy.allocate !== undefined);
  assertEquals(chunkKv({ inner: policy }).phases, policy.phases);
});

Deno.test("whileDecoding() refuses what it cannot wrap, and options out of range", () => {
  const cases: [options: object, message: string][] = [
    [{ inner: whileDecoding() }, "Cannot wrap 'while_decoding' in 'while_decoding': it evicts"],
    [{ inner: oracle({ ids: [5] }) }, "it judges by a known answer, which is not yet written"],
    [
      { inner: snapKv({ window: 32 }), target: 31 },
      "it always keeps 32 tokens, more than a target of 31; give a target of at least 32",
    ],
    [{ inner: full() }, "'inner' must be a policy that scores and evicts"],
    [{ every: 0 }, "'every' must be an integer of at least 1, got 0"],
    [{ target: 0.5 }, "'target' must be an integer of at least 1, got 0.5"],
    [{ inner: snapKv(), evry: 3 }, "did you mean 'every'?"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => whileDecoding(options), OptionError, message);
  }
});
