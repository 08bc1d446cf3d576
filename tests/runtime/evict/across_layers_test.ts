import { assertEquals, assertRejects } from "@std/assert";
import { compose } from "../../../policies/compose.ts";
import type { ScorerPolicy } from "../../../policies/policy.ts";
import { PolicyError } from "../../../runtime/errors.ts";
import { tinyModel } from "../../_test_model.ts";

const IDS = Array.from({ length: 40 }, (_, index) => 3 + index * 5);

/** Ranks later layers above earlier ones, late tokens above early ones. */
const late: ScorerPolicy = {
  name: "late",
  evidence: { kind: "none" },
  acrossLayers: true,
  protect: { sinks: 1 },
  score: ({ layer, kvHeads, length }) =>
    Float32Array.from({ length: kvHeads * length }, (_, index) => 1000 * layer + index % length),
  allocateHeads({ scores, keep }) {
    const counts = scores.map(() => 1);
    let left = Math.round(keep * scores.length) - scores.length;
    for (const head of [...scores.keys()].reverse()) {
      const more = Math.min(left, (scores[head]?.length ?? 0) - 1);
      counts[head] = 1 + more;
      left -= more;
    }
    return counts;
  },
};

async function lengthsOf(policy: ScorerPolicy, budget = 10): Promise<number[][]> {
  await using test = await tinyModel("tiny-llama");
  await using session = test.model.session({ policy, budget });
  const { kept } = await session.read({ ids: IDS });
  return kept.map((heads) => heads.map(({ length }) => length));
}

Deno.test("a policy that divides across layers sees all heads, and gives out the whole budget", async () => {
  assertEquals(await lengthsOf(late), [[1, 1], [1, 1], [16, 40]]);
});

Deno.test("a policy across layers evicts from what another one left", async () => {
  const { acrossLayers: _, allocateHeads: _heads, ...plain } = late;
  const policy = compose({ inner: plain, second: late, tokens: 20 });
  assertEquals(await lengthsOf(policy), [[1, 1], [1, 17], [20, 20]]);
});

Deno.test("a policy across layers keeps everything where everything fits", async () => {
  assertEquals(await lengthsOf(late, 40), [[40, 40], [40, 40], [40, 40]]);
});

Deno.test("a policy across layers that gives out too little is told so", async () => {
  const short: ScorerPolicy = { ...late, allocateHeads: ({ scores }) => scores.map(() => 1) };
  await assertRejects(
    () => lengthsOf(short),
    PolicyError,
    "Policy 'late' broke its contract in all layers: 'allocateHeads' must give 6 integers",
  );
});
