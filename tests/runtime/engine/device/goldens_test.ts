import { assertEquals } from "@std/assert";
import { greedyToken } from "../../../../runtime/sampling/greedy.ts";
import { assertClose } from "../../../_close.ts";
import { testProvider } from "../../../_device.ts";
import { twinModel } from "../../../_device_model.ts";
import { newSequence, TINY, WINDOWED } from "../../../_test_model.ts";
import { openGolden } from "../../_golden_file.ts";
import { checkJudges, checkKept, checkPolicy, GOLDEN_POLICIES } from "../../_golden_policies.ts";

/**
 * On a GPU in software each of these takes half a minute. The processor runs the same graphs for all of
 * them, and `score_kernels_test.ts` their shapes.
 */
const ONLY_HERE: readonly string[] = testProvider() === "webgpu"
  ? TINY.filter((name) => name !== "tiny-llama")
  : [];

/** Greedy tokens behind prompts of three windows. */
const GREEDY = testProvider() === "webgpu" ? 12 : 48;

for (const name of [...TINY, ...WINDOWED]) {
  const golden = openGolden(name);
  // All layers of this one slide: there is nothing to evict.
  const ignore = name === "tiny-mistral-window";
  const ids = golden.integers("input_ids");

  Deno.test(`on a device, the logits and the greedy tokens of ${name} are the golden ones`, async () => {
    await using twin = await twinModel(name);
    const { engine } = twin.there;
    const sequence = newSequence(engine);
    using _ = sequence.cache;
    const rows = ids.map((_, index) => index);
    const step = await engine.advance(sequence, { ids, rows });
    assertClose(step.logits, golden.floats("logits"), { absolute: 1e-3 }, "logits");
    const expected = golden.integers("greedy").slice(0, WINDOWED.includes(name) ? GREEDY : 6);
    let logits: Float32Array = step.logits.slice(-engine.config.vocabulary);
    const made: number[] = [];
    while (made.length < expected.length) {
      made.push(greedyToken(logits));
      ({ logits } = await engine.advance(sequence, { ids: made.slice(-1) }));
    }
    assertEquals(made, expected);
  });

  Deno.test(
    `on a device, what is kept of ${name} is what the goldens keep`,
    { ignore: ignore || ONLY_HERE.includes(name) },
    async () => {
      await using twin = await twinModel(name);
      const { facts } = twin.host.model;
      const model = { name, engine: twin.there.engine, facts };
      const held = golden.settings.policies ?? {};
      for (const policy of GOLDEN_POLICIES) {
        if (!WINDOWED.includes(name)) await checkPolicy(model, golden, policy);
        else if (held[policy.name]) await checkKept(model, golden, policy);
      }
    },
  );

  Deno.test(`on a device, soft tokens and answers pay the golden attention to ${name}`, {
    ignore: ignore || ONLY_HERE.includes(name),
  }, async () => {
    await using twin = await twinModel(name);
    const { hidden } = twin.there.engine.config;
    await checkJudges(golden, hidden, (options) => twin.session(options));
  });
}
