/**
 * The processor against a device, phase by phase, in one run: reading, evidence, selection, compaction,
 * decoding with the whole cache and with what was kept, and what crosses between the two.
 *
 *     deno task bench-device --lengths 512,2048 --policies snapkv,judge_q
 *
 * Without a GPU that works, the device's graphs run on the processor, and the output says so.
 */
import { parseArgs } from "node:util";
import { parsePolicies } from "../evaluation/mod.ts";
import { full } from "../policies/full.ts";
import type { Policy } from "../policies/policy.ts";
import { loadModel, type Model } from "../runtime/model.ts";
import type { Session, SessionOptions } from "../runtime/session/mod.ts";
import { type OpenedDevice, openOnDevice } from "./open_on_device.ts";
import { summarise } from "./statistics.ts";
import { benchText } from "./text.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m-instruct" },
    device: { type: "string", default: "webgpu" },
    lengths: { type: "string", default: "512,2048" },
    budget: { type: "string", default: "256" },
    policies: { type: "string", default: "snapkv,h2o,judge_q" },
    steps: { type: "string", default: "32" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: String(navigator.hardwareConcurrency) },
    precision: { type: "string", default: "auto" },
    json: { type: "boolean", default: false },
  },
});
const count = (name: "budget" | "steps" | "rounds" | "threads") => {
  const number = Number(values[name]);
  if (Number.isInteger(number) && number >= 1) return number;
  refuse(`Cannot use --${name} ${values[name]}: it must be an integer of at least 1`);
};
const lengths = values.lengths.split(",").map(Number);
if (!lengths.every((length) => Number.isInteger(length) && length >= 1)) {
  refuse(`Cannot use --lengths ${values.lengths}: give integers, as in 512,2048`);
}
const [budget, steps, rounds] = [count("budget"), count("steps"), count("rounds")];
const policies = await parsePolicies(values.policies);
const source = values.model === "tiny"
  ? new URL("../tests/fixtures/tiny-llama", import.meta.url).pathname
  : values.model;

/** Seconds of each phase, and bytes that crossed. */
interface Sample {
  readonly prefill: number;
  readonly evidence: number;
  readonly selection: number;
  readonly compaction: number;
  /** Of a decoding step. */
  readonly step: number;
  readonly sent: number;
  readonly received: number;
  readonly stepSent: number;
  readonly stepReceived: number;
  readonly before: number;
  readonly after: number;
}

await using host = await loadModel(source, {
  threads: count("threads"),
  precision: values.precision as "auto",
});
await using there = await openOnDevice(source, host, values.device, count("threads"));
const text = await benchText();
console.log(
  `${
    source.split("/").at(-1)
  }, ${host.precision}, ${host.engine.threads} threads; device: ${there.label}`,
);
const records: object[] = [];
for (const length of lengths) {
  const ids = idsOf(host, length);
  for (const { label, policy } of [{ label: "full", policy: full() }, ...policies]) {
    if (label === "full" && policies.some((one) => one.label === "full")) continue;
    const samples = { host: [] as Sample[], device: [] as Sample[] };
    // The first round warms both up: shaders are compiled then.
    for (let round = 0; round <= rounds; round++) {
      const here = await sample((options) => host.session(options), policy, ids);
      const other = await sample((options) => there.session(options), policy, ids, there);
      if (round === 0) continue;
      samples.host.push(here);
      samples.device.push(other);
    }
    print(length, label, samples);
    records.push({ length, policy: label, ...samples });
  }
}
if (values.json) console.log(JSON.stringify({ device: there.label, budget, steps, records }));

async function sample(
  open: (options: SessionOptions) => Session,
  policy: Policy,
  ids: readonly number[],
  device?: OpenedDevice,
): Promise<Sample> {
  await using session = open({ policy, budget });
  const before = device?.usage();
  await session.read({ ids: [...ids] });
  const read = device?.usage();
  const generation = session.generate({ maxTokens: steps + 1 });
  for await (const _ of generation);
  const end = device?.usage();
  const { times, bytes, steps: made } = session.stats();
  const crossed = (
    name: "sent" | "received",
    from: typeof before,
    to: typeof before,
  ) => (to?.[name] ?? 0) - (from?.[name] ?? 0);
  return {
    prefill: times.prefill / 1000,
    evidence: times.evidence / 1000,
    selection: times.selection / 1000,
    compaction: times.compaction / 1000,
    step: times.decode / 1000 / Math.max(1, made),
    sent: crossed("sent", before, read),
    received: crossed("received", before, read),
    stepSent: crossed("sent", read, end) / Math.max(1, made),
    stepReceived: crossed("received", read, end) / Math.max(1, made),
    before: bytes.before,
    after: bytes.after,
  };
}

function print(
  length: number,
  label: string,
  samples: { readonly host: readonly Sample[]; readonly device: readonly Sample[] },
): void {
  const of = (home: "host" | "device", value: (one: Sample) => number) =>
    summarise(samples[home].map(value)).median;
  const eviction = (one: Sample) => one.evidence + one.selection + one.compaction;
  const share = (one: Sample) => eviction(one) / (one.prefill + eviction(one));
  console.log(`\n${length} tokens, ${label}`);
  console.log(row(["", "host", "device", "device / host"]));
  const speeds: readonly (readonly [string, (one: Sample) => number])[] = [
    ["prefill, tok/s", (one) => length / one.prefill],
    ["decode, tok/s", (one) => 1 / one.step],
  ];
  for (const [name, value] of speeds) {
    const [here, other] = [of("host", value), of("device", value)];
    console.log(row([name, here.toFixed(1), other.toFixed(1), (other / here).toFixed(2)]));
  }
  if (label !== "full") {
    for (const phase of ["evidence", "selection", "compaction"] as const) {
      const [here, other] = [of("host", (one) => one[phase]), of("device", (one) => one[phase])];
      console.log(row([`${phase}, ms`, (here * 1000).toFixed(1), (other * 1000).toFixed(1), ""]));
    }
    const percent = (home: "host" | "device") => `${(100 * of(home, share)).toFixed(1)} %`;
    console.log(row(["eviction's share", percent("host"), percent("device"), ""]));
  }
  const bytes = (home: "host" | "device", value: (one: Sample) => number) =>
    String(Math.round(of(home, value)));
  for (
    const [name, value] of [
      ["cache bytes before", (one: Sample) => one.before],
      ["cache bytes after", (one: Sample) => one.after],
    ] as const
  ) console.log(row([name, bytes("host", value), bytes("device", value), ""]));
  const crossing: readonly (readonly [string, (one: Sample) => number])[] = [
    ["sent, reading", (one) => one.sent],
    ["received, reading", (one) => one.received],
    ["sent, a step", (one) => one.stepSent],
    ["received, a step", (one) => one.stepReceived],
  ];
  for (const [name, value] of crossing) {
    console.log(row([`bytes ${name}`, "", bytes("device", value), ""]));
  }
}

function refuse(reason: string): never {
  console.error(reason);
  Deno.exit(2);
}

/** A line of a table: a name and numbers. */
function row(cells: readonly string[]): string {
  return cells.map((cell, at) => at === 0 ? cell.padEnd(26) : cell.padStart(14)).join("").trimEnd();
}

/** The beginning of the text; counted ids where the model has no tokenizer. */
function idsOf({ tokenizer, config: { vocabulary } }: Model, length: number): readonly number[] {
  const counted = Array.from({ length }, (_, index) => 2 + (index * 31) % (vocabulary - 2));
  if (values.model === "tiny") return counted;
  const found = tokenizer.encode(text.repeat(Math.ceil(length / 6000)));
  return found.slice(0, length);
}
