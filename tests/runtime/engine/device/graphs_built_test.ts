import { assert, assertEquals } from "@std/assert";
import { testProvider } from "../../../_device.ts";
import { twinModel } from "../../../_device_model.ts";
import { smallPolicies } from "../../../_small_policies.ts";
import { randomIds } from "../../../_test_model.ts";
import { judgeQ } from "../../../../policies/judge_q.ts";
import { type ScorerPolicy, withKernel } from "../../../../policies/policy.ts";
import type { Device } from "../../../../kernels/device/device.ts";

/** Lengths and budgets of prompts that follow one another. */
const FIRST = { tokens: 60, budget: 20 };
const OTHERS = [{ tokens: 73, budget: 20 }, { tokens: 51, budget: 24 }] as const;

/** Counts graphs that a device loads. */
function countLoads(device: Device): { readonly names: string[] } {
  const names: string[] = [];
  const load = device.load.bind(device);
  device.load = (graph, options) => {
    names.push(graph.name);
    return load(graph, options);
  };
  return { names };
}

// The graphs are those of any device: once is enough.
const ignore = testProvider() === "webgpu";

const policies = [
  ...await smallPolicies(),
  { name: "judge_q(share=head)", policy: judgeQ({ share: "head", window: 8, kernel: 3 }) },
];

for (const { name, policy } of policies) {
  Deno.test(
    `on a device, ${name} builds no graph for a prompt of another length`,
    { ignore },
    async () => {
      await using twin = await twinModel("tiny-llama31");
      const loads = countLoads(twin.there.device);
      const { vocabulary } = twin.host.model.config;
      const read = async ({ tokens, budget }: typeof FIRST) => {
        await using session = twin.session({ policy, budget, chunk: 128 });
        await session.read({ ids: randomIds(tokens, vocabulary, tokens) });
        const generation = session.generate({ maxTokens: 2 });
        for await (const _ of generation);
      };
      await read(FIRST);
      assert(loads.names.length > 0 || policy.evicts === false);
      loads.names.length = 0;
      for (const other of OTHERS) await read(other);
      // Layers whose heads keep equally many go through one run: there is a graph for each number of them, eight at
      // most, and how many go together is as the heads come out.
      assertEquals(loads.names.filter((one) => !/^(gather|grow)_entries$/.test(one)), []);
    },
  );
}

Deno.test(
  "a kernel that asks for the number of tokens is built for each, one that asks whether they are enough for each answer",
  { ignore },
  async () => {
    await using twin = await twinModel("tiny-llama31");
    const loads = countLoads(twin.there.device);
    const { vocabulary } = twin.host.model.config;
    const asking: ScorerPolicy = {
      name: "asking",
      evidence: { kind: "none" },
      score: withKernel(
        ({ kvHeads, length }) =>
          Float32Array.from({ length: kvHeads * length }, (_, at) => at % length / length),
        (layer) => {
          const row = Float32Array.from({ length: layer.length }, (_, at) => at / layer.length);
          const zeros = layer.constant(new Float32Array(layer.kvHeads), [layer.kvHeads, 1]);
          return layer.op("Add", [zeros, layer.constant(row, [1, layer.length])]);
        },
      ),
    };
    const enough: ScorerPolicy = {
      ...asking,
      name: "enough",
      score: withKernel(
        ({ kvHeads, length }) =>
          Float32Array.from({ length: kvHeads * length }, (_, at) => {
            const token = at % length;
            return length >= 50 ? token : -token;
          }),
        (layer) => {
          const zeros = layer.constant(new Float32Array(layer.kvHeads), [layer.kvHeads, 1]);
          const late = layer.op("Add", [zeros, layer.counting()]);
          return layer.atLeast(50) ? late : layer.op("Neg", [late]);
        },
      ),
    };
    const built = async (policy: ScorerPolicy, tokens: number) => {
      loads.names.length = 0;
      await using here = twin.host.model.session({ policy, budget: 10 });
      await using there = twin.session({ policy, budget: 10, chunk: 128 });
      const ids = randomIds(tokens, vocabulary, 3);
      const [expected, found] = [await here.read({ ids }), await there.read({ ids })];
      assertEquals(found.kept, expected.kept, `${policy.name}, ${tokens} tokens`);
      return loads.names.filter((name) => name === "scores").length;
    };
    assertEquals([await built(asking, 40), await built(asking, 41), await built(asking, 40)], [
      1,
      1,
      0,
    ]);
    const tokens = [60, 61, 50, 49, 30, 60];
    const counts: number[] = [];
    for (const count of tokens) counts.push(await built(enough, count));
    assertEquals(counts, [1, 0, 0, 1, 0, 0]);
  },
);
