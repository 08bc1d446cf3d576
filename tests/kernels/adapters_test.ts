import { assertEquals } from "@std/assert";
import { adapterName, adapterPairs, adapterTensors } from "../../kernels/adapters.ts";

const MODEL = {
  hidden: 8,
  intermediate: 20,
  heads: 4,
  kvHeads: 2,
  headDim: 6,
  layers: { length: 2 },
};

Deno.test("adapterTensors() names two tensors for each adapted product of each layer", () => {
  const tensors = adapterTensors(MODEL, { rank: 3, projections: ["down", "q", "k", "o"] });
  assertEquals(tensors.map(({ name, shape }) => `${name} ${shape}`), [
    "adapter.0.q.a 8,3",
    "adapter.0.q.b 3,24",
    "adapter.0.k.a 8,3",
    "adapter.0.k.b 3,12",
    "adapter.0.o.a 24,3",
    "adapter.0.o.b 3,8",
    "adapter.0.down.a 20,3",
    "adapter.0.down.b 3,8",
    "adapter.1.q.a 8,3",
    "adapter.1.q.b 3,24",
    "adapter.1.k.a 8,3",
    "adapter.1.k.b 3,12",
    "adapter.1.o.a 24,3",
    "adapter.1.o.b 3,8",
    "adapter.1.down.a 20,3",
    "adapter.1.down.b 3,8",
  ]);
});

Deno.test("adapterPairs() tells where each pair belongs", () => {
  const pairs = adapterPairs(MODEL, { rank: 1, projections: ["gate"] });
  assertEquals(pairs.map(({ layer, projection }) => [layer, projection]), [[0, "gate"], [
    1,
    "gate",
  ]]);
  assertEquals(pairs[1]?.a.name, adapterName(1, "gate", "a"));
});
