import { assertEquals } from "@std/assert";
import type { Evidence } from "../../../policies/policy.ts";
import { assertClose } from "../../_close.ts";
import { probePolicy } from "../../_probe_policy.ts";
import { TINY, tinyModel } from "../../_test_model.ts";
import { openGolden } from "../_golden_file.ts";

for (const name of TINY) {
  const golden = openGolden(name);
  const ids = golden.integers("input_ids");
  const { layers, heads, tokens } = golden.settings;

  /** What a policy with this evidence is shown, `[layers, heads, tokens]`. */
  const gather = async (evidence: (hidden: number) => Evidence): Promise<number[]> => {
    await using test = await tinyModel(name);
    const probe = probePolicy(evidence(test.model.config.hidden));
    await using session = test.model.session({ policy: probe, budget: golden.settings.kept });
    await session.read({ ids });
    assertEquals(probe.attention.length, layers);
    return probe.attention.flatMap((attention) => [...attention]);
  };

  Deno.test(`gatherEvidence() gives the golden attention of the soft tokens of ${name}`, async () => {
    const embeddings = golden.floats("judge_q.soft");
    const attention = await gather((hidden) => ({
      kind: "soft",
      tokens: () => ({ count: embeddings.length / hidden, hidden, embeddings, trained: true }),
    }));
    assertEquals(attention.length, layers * heads * tokens);
    assertClose(attention, golden.floats("judge_q.attention_soft"), { absolute: 1e-5 });
  });

  Deno.test(`gatherEvidence() gives the golden attention of a known answer of ${name}`, async () => {
    const answer = golden.integers("judge_q.response");
    const attention = await gather(() => ({
      kind: "given",
      queries: { kind: "tokens", ids: answer },
    }));
    assertClose(attention, golden.floats("judge_q.attention_response"), { absolute: 1e-5 });
  });
}
