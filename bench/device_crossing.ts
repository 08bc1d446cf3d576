/**
 * What each policy sends to a device and brings back while a prompt is read and evicted, and what it has the
 * device hold, as a table in Markdown.
 *
 *     deno task bench-crossing --lengths 256,512 --budget 48
 *
 * Bytes are those beyond what reading alone takes (`full`). Without a GPU that works, the device's graphs run on
 * the processor: what crosses is the same.
 */
import { parseArgs } from "node:util";
import { parsePolicies } from "../evaluation/mod.ts";
import { full } from "../policies/full.ts";
import type { Policy } from "../policies/policy.ts";
import { loadModel } from "../runtime/model.ts";
import { openOnDevice } from "./open_on_device.ts";

const { values } = parseArgs({
  options: {
    model: {
      type: "string",
      default: new URL("../tests/fixtures/tiny-llama", import.meta.url).pathname,
    },
    device: { type: "string", default: "webgpu" },
    lengths: { type: "string", default: "256,512" },
    budget: { type: "string", default: "48" },
    policies: {
      type: "string",
      default:
        "snapkv,h2o,streaming_llm,random,knorm,keydiff,lagkv,expected_attention,lookahead_q_cache," +
        "judge_q,kvzip,kvzip_plus,ada_kv(snapkv),critical_kv(snapkv),chunk_kv(snapkv),graphkv(snapkv)",
    },
  },
});
const lengths = values.lengths.split(",").map(Number);
const budget = Number(values.budget);
if (![...lengths, budget].every((count) => Number.isInteger(count) && count >= 1)) {
  console.error(`Cannot use --lengths ${values.lengths} --budget ${values.budget}: give integers`);
  Deno.exit(2);
}

/** What one prompt took. */
interface Taken {
  readonly sent: number;
  readonly received: number;
  readonly graphs: number;
  /** Bytes of the cache behind the eviction. */
  readonly held: number;
}

await using host = await loadModel(values.model, { precision: "fp32" });
await using there = await openOnDevice(values.model, host, values.device, 1);
const { vocabulary } = host.config;
console.log(`${values.model.split("/").at(-1)}, ${budget} tokens kept; device: ${there.label}\n`);

async function read(policy: Policy, length: number): Promise<Taken> {
  await using session = there.session({ policy, budget });
  const [before, loaded] = [there.usage(), there.graphs()];
  const ids = Array.from({ length }, (_, index) => 2 + (index * 31) % (vocabulary - 2));
  await session.read({ ids });
  const after = there.usage();
  return {
    sent: after.sent - before.sent,
    received: after.received - before.received,
    graphs: there.graphs() - loaded,
    held: session.stats().bytes.after,
  };
}

const alone: Taken[] = [];
for (const length of lengths) {
  // What is made once, however long texts are.
  await read(full(), length);
  alone.push(await read(full(), length));
}
const heads = lengths.flatMap((
  length,
) => [`sent, ${length}`, `back, ${length}`, `graphs, ${length}`]);
console.log(`| policy | ${heads.join(" | ")} | cache after |`);
console.log(`| --- |${heads.map(() => " ---: |").join("")} ---: |`);
const reading = alone.flatMap(({ sent, received }) => [sent, received, ""]);
console.log(`| reading alone | ${reading.join(" | ")} | ${alone.at(-1)?.held ?? 0} |`);
for (const { label, policy } of await parsePolicies(values.policies)) {
  const cells: (number | string)[] = [];
  let held = 0;
  for (const [index, length] of lengths.entries()) {
    const taken = await read(policy, length);
    const own = alone[index];
    cells.push(
      taken.sent - (own?.sent ?? 0),
      taken.received - (own?.received ?? 0),
      taken.graphs,
    );
    held = taken.held;
  }
  console.log(`| \`${label}\` | ${cells.join(" | ")} | ${held} |`);
}
