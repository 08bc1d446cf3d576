import { assertEquals, assertRejects } from "@std/assert";
import type { AdapterShape } from "../../../../kernels/adapters.ts";
import type { StepInputs, StepKernel, StepOutputs } from "../../../../kernels/step.ts";
import { openOneCopy } from "../../../../runtime/engine/host/step_kernels.ts";

const INPUTS: StepInputs = { ids: [1], rotary: [], rows: [0], past: [] };
const OUTPUTS: StepOutputs = {
  written: [],
  logits: new Float32Array(1),
  entries: [],
  queries: [],
  attentionSums: [],
};

/** Kernels that write down what happens to them. */
function recorder(fails: { next: boolean } = { next: false }) {
  const events: string[] = [];
  let made = 0;
  const open = (adapters: AdapterShape | undefined): Promise<StepKernel> => {
    const name = `${++made}(${adapters?.projections.join(" ") ?? ""})`;
    events.push(`open ${name}`);
    if (fails.next) {
      fails.next = false;
      return Promise.reject(new Error("no memory"));
    }
    return Promise.resolve({
      async run() {
        await Promise.resolve();
        events.push(`run ${name}`);
        return OUTPUTS;
      },
      [Symbol.asyncDispose]() {
        events.push(`free ${name}`);
        return Promise.resolve();
      },
    });
  };
  return { events, open };
}

Deno.test("openOneCopy() frees the graph before it loads one with adapters, between steps", async () => {
  const { events, open } = recorder();
  {
    await using kernels = await openOneCopy(open);
    const { step, adapted } = kernels;
    const running = step.run(INPUTS);
    const [first, second] = await Promise.all([
      adapted({ rank: 2, projections: ["v", "q"] }),
      adapted({ rank: 4, projections: ["q"] }),
    ]);
    await running;
    assertEquals([first === step, second === step], [true, true]);
    await adapted({ rank: 4, projections: ["down"] });
    await step.run(INPUTS);
  }
  assertEquals(events, [
    "open 1()",
    "run 1()",
    "free 1()",
    "open 2(q v)",
    "free 2(q v)",
    "open 3(q v down)",
    "run 3(q v down)",
    "free 3(q v down)",
  ]);
});

Deno.test("openOneCopy() goes on without adapters where loading them failed", async () => {
  const fails = { next: false };
  const { events, open } = recorder(fails);
  await using kernels = await openOneCopy(open);
  fails.next = true;
  await assertRejects(
    () => kernels.adapted({ rank: 2, projections: ["q"] }),
    Error,
    "no memory",
  );
  await kernels.step.run(INPUTS);
  assertEquals(events, ["open 1()", "free 1()", "open 2(q)", "open 3()", "run 3()"]);
});
