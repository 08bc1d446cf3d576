import { assertEquals } from "@std/assert";
import type { Device } from "../../../kernels/device/device.ts";
import { createUnseenLogits, type SeenLogits } from "../../../kernels/device/unseen_logits.ts";
import { createGraph } from "../../../kernels/onnx/graph.ts";
import { floats } from "../../../kernels/session.ts";
import { greedyToken } from "../../../runtime/sampling/greedy.ts";
import { noise } from "../../_close.ts";
import { testDevice } from "../../_device.ts";

/** What is seen of logits that a step writes, and the bytes that come back for it. */
async function seen(
  device: Device,
  logits: Float32Array,
  next: "logits" | "likeliest" | "nothing",
  { checked = false, rows = 1 } = {},
): Promise<SeenLogits & { readonly bytes: number }> {
  const vocabulary = logits.length / rows;
  const graph = createGraph("step");
  graph.input("given", "float32", ["R", vocabulary]);
  graph.op("Neg", [graph.op("Neg", ["given"])], { names: ["logits"] });
  graph.output("logits", "float32", ["R", vocabulary]);
  await using step = await device.load(graph.build(), { inPlace: true });
  await using unseen = createUnseenLogits(device, vocabulary, checked);
  let bytes = 0;
  const inputs = { next, rows: Array.from({ length: rows }, (_, row) => row) };
  using room = await unseen.roomFor(inputs);
  device.onCrossing = (one) => bytes += one.direction === "out" ? one.bytes : 0;
  const given = floats(logits, [rows, vocabulary]);
  const outputs = await step.run({ given }, { fetches: ["logits"], into: room.into });
  return { ...await room.seen(outputs), bytes };
}

const none = new Float32Array(0);

Deno.test("of logits comes the id of the likeliest token, the lowest of equals, and nothing else", async () => {
  await using device = testDevice();
  for (const vocabulary of [3, 256, 257, 1000, 3000]) {
    for (const seed of [1, 2, 3]) {
      const logits = noise(vocabulary, seed);
      const likeliest = greedyToken(logits);
      assertEquals(await seen(device, logits, "likeliest"), { logits: none, likeliest, bytes: 8 });
      const later = logits.with(vocabulary - 1, logits[likeliest] ?? 0);
      assertEquals((await seen(device, later, "likeliest")).likeliest, likeliest);
    }
    const last = new Float32Array(vocabulary).fill(-5).with(vocabulary - 1, -4);
    assertEquals((await seen(device, last, "likeliest")).likeliest, vocabulary - 1);
  }
});

Deno.test("nothing comes where nothing is wanted, all where all are", async () => {
  await using device = testDevice();
  const logits = noise(300, 4);
  assertEquals(await seen(device, logits, "nothing"), { logits: none, bytes: 0 });
  assertEquals(await seen(device, logits, "logits"), { logits, bytes: 1200 });
  const several = await seen(device, logits, "likeliest", { rows: 2 });
  assertEquals(several, { logits, bytes: 1200 }, "those of several tokens were asked for");
});

Deno.test("logits that are no numbers are brought where they are looked at", async () => {
  await using device = testDevice();
  const logits = noise(300, 5).with(7, Infinity);
  assertEquals((await seen(device, logits, "likeliest")).logits, logits);
  assertEquals((await seen(device, logits, "nothing", { checked: true })).logits, logits);
  assertEquals((await seen(device, logits, "nothing")).logits, none);
});
