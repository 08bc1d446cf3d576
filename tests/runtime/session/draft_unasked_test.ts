import { assertEquals, assertNotEquals } from "@std/assert";
import { judgeQ } from "../../../policies/judge_q.ts";
import type { Policy, ScorerPolicy } from "../../../policies/policy.ts";
import { whileReading } from "../../../policies/while_reading.ts";
import type { Prompt } from "../../../runtime/tokenizer/prompt.ts";
import { randomIds } from "../../_test_model.ts";
import { chatModel } from "./_chat.ts";

const DOCUMENT = Array.from(
  { length: 12 },
  (_, index) => `House ${index} of Mill Lane has ${index % 7} windows and ${index % 5} doors.`,
).join("\n");

const drafting = judgeQ({ window: 8 });
const alone = judgeQ({ window: 8, draft: 0 });

Deno.test("a draft of the answer judges where a question was read, and not where one is still to come", async () => {
  await using test = await chatModel();
  const kept = async (policy: Policy, prompt: Prompt) => {
    await using session = test.model.session({ policy, budget: 48 });
    return (await session.read(prompt)).kept;
  };
  const asked = { messages: [{ role: "user", content: `${DOCUMENT}\nHow many doors?` }] };
  assertNotEquals(await kept(drafting, asked), await kept(alone, asked));
  const unasked = { document: DOCUMENT };
  assertEquals(await kept(drafting, unasked), await kept(alone, unasked));
});

Deno.test("a draft judges behind the last piece of a text alone", async () => {
  await using test = await chatModel();
  const ids = randomIds(100, 200, 4);
  const evictedAt = async (policy: ScorerPolicy) => {
    const pieces: boolean[] = [];
    const watching: ScorerPolicy = {
      ...policy,
      score: async (layer) => {
        const draft = await layer.draftAttention();
        if (layer.layer + layer.firstHead === 0) pieces.push(draft.every((share) => share === 1));
        return new Float32Array(layer.kvHeads * layer.length);
      },
    };
    await using session = test.model.session({
      policy: whileReading({ inner: watching, every: 32, keep: 24 }),
      budget: 16,
    });
    await session.read({ ids });
    return pieces;
  };
  assertEquals(await evictedAt(drafting), [true, true, false]);
});
