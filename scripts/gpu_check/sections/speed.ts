import { knownBandwidth } from "../gpu_memory.ts";
import { policyNamed } from "../check_policies.ts";
import { gpuState } from "../gpu_memory.ts";
import { checkpointPath, openModel, someIds } from "../open_model.ts";
import type { CheckOptions, Report, Section } from "../section.ts";

type Opened = Awaited<ReturnType<typeof openModel>>;

interface Measurement {
  readonly length: number;
  readonly policy: string;
  readonly steps: number;
  /** Tokens that are kept. */
  readonly budget: number;
  readonly round: string;
  /** GB/s, where it is known. */
  readonly card?: number | undefined;
  readonly chunk?: number;
}

/** Reads a prompt and decodes behind it, and tells what that took. */
async function measure(opened: Opened, of: Measurement, report: Report): Promise<void> {
  const { length, policy, steps, budget, round, card, chunk } = of;
  const { layers, kvHeads, headDim, vocabulary } = opened.config;
  await using session = opened.session({
    policy: policyNamed(policy),
    budget,
    ...(chunk === undefined ? {} : { chunk }),
  });
  const before = opened.usage();
  const whole = performance.now();
  await session.read({ ids: someIds(length, vocabulary) });
  const reading = performance.now() - whole;
  const read = opened.usage();
  const done = opened.stepTimes.length;
  for await (const _ of session.generate({ maxTokens: steps + 1 }));
  const end = opened.usage();
  const { times, bytes, steps: made } = session.stats();
  const count = Math.max(1, made);
  // The first step makes room in the cache, and may make shaders.
  const [first = 0, ...others] = opened.stepTimes.slice(done);
  // Steps that were run ahead take no time of their own: the mean counts.
  const step = others.length > 0 ? others.reduce((sum, one) => sum + one) / others.length : first;
  const held = policy === "full" ? length : Math.min(budget, length);
  const cacheBytes = held * layers * kvHeads * headDim * 2 * (opened.half ? 2 : 4);
  const moved = (opened.weights.perToken + cacheBytes) / 1e6 / step;
  const eviction = times.evidence + times.selection + times.compaction;
  report(`${length} tokens, ${policy}${round}`, {
    "prefill tok/s": length / times.prefill * 1000,
    "decode ms/token": step,
    "first step ms": first,
    "mean ms/token": times.decode / count,
    "GB/s": moved,
    ...(card === undefined ? {} : { "of what bandwidth allows": moved / card }),
    ...(policy === "full" ? {} : {
      "evidence ms": times.evidence,
      "selection ms": times.selection,
      "compaction ms": times.compaction,
      "eviction's share": eviction / (times.prefill + eviction),
    }),
    "reading ms": reading,
    "sent, reading": read.sent - before.sent,
    "received, reading": read.received - before.received,
    "sent a step": (end.sent - read.sent) / count,
    "received a step": (end.received - read.received) / count,
    "shared weights, MB": end.weights / 1e6,
    "cache before": bytes.before,
    "cache after": bytes.after,
    "decoding steps": made,
  });
}

async function opened(options: CheckOptions, report: Report, format: "q4_0" | "f16") {
  const start = performance.now();
  const model = await openModel(options, await checkpointPath(options, format));
  report(`${model.name}, loaded`, { seconds: (performance.now() - start) / 1000 });
  const state = await gpuState();
  if (state) report("GPU memory, MiB", { used: state.used, total: state.total });
  return { model, card: state && knownBandwidth(state.name) };
}

interface SpeedOptions {
  readonly seconds: number;
  readonly least: number;
  readonly format?: "q4_0" | "f16";
  readonly policies: readonly string[];
  readonly rounds: number;
  lengths(options: CheckOptions): readonly number[];
}

function speedSection(name: string, settings: SpeedOptions): Section {
  const { seconds, least, format = "q4_0", policies, rounds, lengths } = settings;
  return {
    name,
    seconds,
    least,
    async run(options, report) {
      const { model, ...known } = await opened(options, report, format);
      await using held = model;
      for (const length of lengths(options)) {
        if (length + options.steps > held.config.context) {
          report(`${length} tokens`, { skipped: `the context is ${held.config.context}` });
          continue;
        }
        for (const policy of policies) {
          for (let round = 1; round <= rounds; round++) {
            const label = rounds === 1 ? "" : round === 1 ? ", first time" : ", again";
            await measure(
              held,
              {
                ...{ length, policy, steps: options.steps, budget: options.budget },
                ...{ round: label, ...known },
              },
              report,
            );
          }
        }
      }
    },
  };
}

const all = ["full", "snapkv", "judge_q"];

export const speed = speedSection("speed", {
  ...{ seconds: 100, least: 15, policies: all, rounds: 2, lengths: ({ lengths }) => lengths },
});

export const speedF16 = speedSection("speed-f16", {
  ...{ seconds: 60, least: 20, policies: ["full", "snapkv"], rounds: 2, format: "f16" },
  lengths: ({ lengths }) => lengths,
});

export const long = speedSection("long", {
  ...{ seconds: 150, least: 30, policies: all, rounds: 1, lengths: ({ long }) => long },
});

/** Other runtimes decode in steps of a staircase as the cache grows. */
export const staircase = speedSection("staircase", {
  ...{ seconds: 80, least: 20, policies: ["full"], rounds: 1 },
  lengths: ({ staircase: lengths }) => lengths,
});

/** How many tokens at a time are read fastest. */
export const chunks: Section = {
  name: "chunks",
  seconds: 60,
  least: 20,
  async run(options, report) {
    const { model, ...known } = await opened(options, report, "q4_0");
    await using held = model;
    const length = Math.max(...options.lengths);
    for (const chunk of [256, 512, 1024, 2048, 256]) {
      const of = {
        ...{ length, policy: "full", steps: 2, budget: options.budget },
        round: `, ${chunk} at a time`,
        chunk,
      };
      // Twice, as shaders may be made the first time.
      for (let round = 0; round < 2; round++) await measure(held, { ...of, ...known }, report);
    }
  },
};
