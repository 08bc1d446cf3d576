import { assertEquals } from "@std/assert";
import { buildDecodeGraph } from "../../../kernels/device/decode_graph.ts";
import { fixture } from "../../_test_model.ts";
import { describe } from "../_soft_case.ts";

/** What is made of the products of a layer before attention, and what attention itself is given. */
const BY_ATTENTION = ["Split", "RotaryEmbedding", "SimplifiedLayerNormalization", "Concat"];

Deno.test("buildDecodeGraph() leaves taking apart and rotating to the attention operator", async () => {
  await using described = await describe(fixture("tiny-llama"), "int4");
  const { nodes } = buildDecodeGraph(described.model, false);
  const attention = nodes.filter(({ operator }) => operator === "GroupQueryAttention");
  assertEquals(attention.length, described.model.layers.length);
  for (const { inputs, attributes } of attention) {
    assertEquals(inputs.slice(1, 3), ["", ""], "keys and values lie behind the queries");
    assertEquals(attributes.do_rotary, { int: 1 });
  }
  const left = nodes.map(({ operator }) => operator).filter((one) => BY_ATTENTION.includes(one));
  // One takes the array of the token apart, one normalises what the first layer reads.
  assertEquals(left, ["Split", "SimplifiedLayerNormalization"]);
});

Deno.test("buildDecodeGraph() gives heads that are normalised apart, in the form that is fused", async () => {
  await using described = await describe(fixture("tiny-qwen3"), "int4");
  const { nodes } = buildDecodeGraph(described.model, false);
  const madeBy = (value: string) => nodes.find(({ outputs }) => outputs.includes(value));
  for (const { inputs, operator } of nodes) {
    if (operator !== "GroupQueryAttention") continue;
    for (const value of inputs.slice(0, 2)) {
      const chain = [madeBy(value)];
      while (chain.length < 3) chain.unshift(madeBy(chain[0]?.inputs[0] ?? ""));
      assertEquals(
        chain.map((node) => node?.operator),
        ["Reshape", "SimplifiedLayerNormalization", "Reshape"],
      );
    }
  }
});
