import { policyNamed } from "../check_policies.ts";
import { gpuState } from "../gpu_memory.ts";
import { checkpointPath, openModel, someIds } from "../open_model.ts";
import type { Section } from "../section.ts";

const GENERATIONS = 20;
/** Generations after which memory must not grow. */
const SETTLED = 5;
/** MiB of GPU memory that may come and go. */
const SLACK = 64;

/** Whether memory stays flat over generations. */
export const flat: Section = {
  name: "flat",
  seconds: 60,
  least: 15,
  async run(options, report) {
    await using model = await openModel(options, await checkpointPath(options));
    const policies = ["snapkv", "judge_q"];
    const length = Math.min(...options.lengths);
    const seen: { tensors: number; bytes: number; rss: number; gpu: number }[] = [];
    await using session = model.session({ policy: policyNamed("snapkv"), budget: 128 });
    for (let round = 0; round < GENERATIONS; round++) {
      const policy = policyNamed(policies[round % policies.length] ?? "snapkv");
      session.configure({ policy });
      const ids = someIds(length + round % 4, model.config.vocabulary);
      for await (const _ of session.generate({ ids }, { maxTokens: 4 }));
      const { tensors, bytes } = model.usage();
      const rss = Math.round(Deno.memoryUsage().rss / 2 ** 20);
      seen.push({ tensors, bytes, rss, gpu: (await gpuState())?.used ?? 0 });
    }
    const settled = seen.slice(SETTLED);
    const range = (of: (one: (typeof seen)[number]) => number) => {
      const numbers = settled.map(of);
      return { first: numbers[0] ?? 0, last: numbers.at(-1) ?? 0, most: Math.max(...numbers) };
    };
    const [tensors, gpu, rss] = [
      range((one) => one.tensors),
      range((one) => one.gpu),
      range((one) => one.rss),
    ];
    report("tensors on the device", tensors, tensors.last === tensors.first);
    report("their bytes", range((one) => one.bytes));
    report("GPU memory, MiB", gpu, gpu.last - gpu.first <= SLACK);
    report("main memory, MiB", rss, rss.last - rss.first <= 2 * SLACK);
    report("GPU memory after each, MiB", { used: seen.map(({ gpu: used }) => used).join(" ") });
    report("main memory after each, MiB", { used: seen.map(({ rss: used }) => used).join(" ") });
  },
};
