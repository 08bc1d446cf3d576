import { assert, assertEquals } from "@std/assert";
import { MOST_AHEAD, PLAN_COLUMNS, TOLD_COLUMNS } from "../../../../kernels/device/ahead_graph.ts";
import type { Crossing } from "../../../../kernels/device/device.ts";
import { type Policy, withKernel } from "../../../../policies/policy.ts";
import { ROW_COLUMNS } from "../../../../runtime/engine/device/rank_graph.ts";
import { twinModel } from "../../../_device_model.ts";
import { randomIds } from "../../../_test_model.ts";

const TOKENS = 24;
const BUDGET = 12;

/** Judges by attention, keys and values, all of which a kernel reads where they lie. */
const policy: Policy = {
  name: "all_of_it",
  evidence: { kind: "window", size: 8 },
  score: withKernel(
    async (layer) => await layer.groupAttention(),
    (layer) => {
      const norm = (entries: string) =>
        layer.op("ReduceL2", [entries, layer.integers([2])], { keepdims: { int: 0 } });
      return layer.op("Sum", [layer.groupAttention(), norm(layer.keys()), norm(layer.values())]);
    },
  ),
};

/** Bytes by kernel, array and direction. */
function summed(crossings: readonly Crossing[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { kernel, name, direction, bytes } of crossings) {
    const key = `${direction} ${kernel} ${name.replace(/^copy \d+\/|\.\d+$/g, "")}`;
    sums[key] = (sums[key] ?? 0) + bytes;
  }
  return sums;
}

Deno.test("only ids, positions, indices and logits cross between main memory and a device", async () => {
  await using twin = await twinModel("tiny-llama");
  const { device, engine: { config } } = twin.there;
  const { layers, kvHeads, headDim, vocabulary } = config;
  const ids = randomIds(TOKENS, vocabulary, 9);
  await using session = twin.session({ policy, budget: BUDGET, chunk: TOKENS });
  const seen: Crossing[] = [];
  device.onCrossing = (crossing) => seen.push(crossing);
  const phase = async (work: () => Promise<unknown>) => {
    seen.length = 0;
    await work();
    const crossed = summed(seen);
    // Made once, whatever is read afterwards, and shapes of a few numbers.
    for (const key of Object.keys(crossed)) {
      if (/^in ahead_step (turn|found)|^in (counting|zeros|grow_entries|scale_rows) /.test(key)) {
        delete crossed[key];
      }
    }
    return crossed;
  };
  /** What steps of so many tokens send and bring back. */
  const step = (tokens: number, steps = 1) => ({
    "in even_step tokens": tokens * (headDim + 2) * 4,
    "in even_step given": 8 * steps,
    "in even_step rows": 8 * steps,
    "in even_step embeddings": 0,
    "in even_step last_index": layers * 4 * steps,
    "in even_step total": layers * 4 * steps,
    "out even_step logits": vocabulary * 4 * steps,
  });

  /** What decoding steps send and bring back: where they are captured, one number for all layers. */
  const decode = (steps: number) =>
    device.capture
      ? {
        // The plan of the first step is sent for its recording too.
        "in ahead_step plan": (steps + 1) * MOST_AHEAD * (headDim + 1 + PLAN_COLUMNS.length) * 4,
        // Its id, the one that follows and whether that is certain: no logits.
        "out ahead_step told": steps * TOLD_COLUMNS.length * 4,
      }
      : step(steps, steps);

  const reading = await phase(() => session.read({ ids }));
  // The window of 8 is a step of its own, and observed.
  assertEquals(reading, {
    ...step(TOKENS, 2),
    // Those of the last token alone: nobody asks what the first step's last token is followed by.
    "out even_step logits": vocabulary * 4,
    "in observe held": layers * 4,
    "in gather_entries slots": layers * kvHeads * BUDGET * 4,
    // How many tokens there are and are wanted, and what of each head is protected: once for all layers.
    "in scores tokens": 8,
    "in scores width": 8,
    "in scores count": 8,
    "in scores rows": layers * kvHeads * ROW_COLUMNS.length * 4,
    "out scores best": layers * kvHeads * BUDGET * 8,
  });
  const decoding = await phase(async () => {
    for await (const _ of session.generate({ maxTokens: 4 }));
  });
  assertEquals(decoding, decode(3));

  const entry = layers * kvHeads * headDim * 4;
  const perToken = Object.entries(step(1)).filter(([key]) => !key.includes("logits"))
    .reduce((sum, [, bytes]) => sum + bytes, 0);
  assert(perToken < 2 * entry, "what a token sends must be less than its key and value");
  device.onCrossing = undefined;
});

Deno.test("a policy without a kernel is shown copies, which are counted and noted", async () => {
  await using twin = await twinModel("tiny-llama");
  const { device, engine: { config: { layers, kvHeads, headDim, vocabulary } } } = twin.there;
  const plain: Policy = {
    ...policy,
    score: async (layer) => (await layer.keys()).slice(0, layer.kvHeads * layer.length),
  };
  await using session = twin.session({ policy: plain, budget: BUDGET });
  const seen: Crossing[] = [];
  device.onCrossing = (crossing) => seen.push(crossing);
  await session.read({ ids: randomIds(TOKENS, vocabulary, 9) });
  const bytes = layers * kvHeads * headDim * TOKENS * 4;
  assert((summed(seen)["out read_entries result"] ?? 0) >= bytes);
  const note = session.stats().notes.find((one) => one.includes("kernel"));
  assert(note?.includes(plain.name) && note.includes(`${bytes} bytes`), note);
  device.onCrossing = undefined;
});
