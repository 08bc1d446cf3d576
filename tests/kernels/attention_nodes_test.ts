import { assertEquals } from "@std/assert";
import {
  type AttentionShape,
  decodeAttention,
  prefillAttention,
  slidingAttention,
} from "../../kernels/attention_nodes.ts";
import { flag, floats, floatsOf, integers } from "../../kernels/session.ts";
import { assertClose, noise } from "../_close.ts";
import { referenceAttention } from "../_reference_attention.ts";
import { runGraph } from "./_run_graph.ts";

const SHAPES: readonly AttentionShape[] = [
  { heads: 4, kvHeads: 4, headDim: 16, attentionScale: 0.25 },
  { heads: 6, kvHeads: 3, headDim: 12, attentionScale: 0.25 },
  { heads: 9, kvHeads: 3, headDim: 64, attentionScale: 0.125 },
  { heads: 5, kvHeads: 1, headDim: 10, attentionScale: 0.4 },
  { heads: 1, kvHeads: 1, headDim: 2, attentionScale: 1 },
];

const CLOSE = { absolute: 2e-6 };

interface Case {
  readonly shape: AttentionShape;
  readonly queries: Float32Array;
  readonly keys: Float32Array;
  readonly values: Float32Array;
  readonly past: number;
  readonly tokens: number;
}

function makeCase(shape: AttentionShape, past: number, tokens: number): Case {
  const { heads, kvHeads, headDim } = shape;
  const width = kvHeads * headDim;
  return {
    shape,
    past,
    tokens,
    queries: noise(tokens * heads * headDim, 1).map((value) => 3 * value),
    keys: noise((past + tokens) * width, 2),
    values: noise((past + tokens) * width, 3),
  };
}

/** Mixed values `[tokens, heads · headDim]` and attention received `[heads, past + tokens]`. */
function expectedOf(
  { shape, queries, keys, values, past, tokens }: Case,
  window = Infinity,
) {
  const { heads, kvHeads, headDim } = shape;
  const length = past + tokens;
  const mixed = new Float64Array(queries.length);
  for (let token = 0; token < tokens; token++) {
    const first = Math.max(0, past + token + 1 - window);
    const seen = referenceAttention({
      ...shape,
      queries: queries.slice(token * heads * headDim, (token + 1) * heads * headDim),
      keys: keys.slice(first * kvHeads * headDim),
      visible: past + token + 1 - first,
      reduce: "sum",
    });
    const weights = new Float32Array(heads * length);
    for (let head = 0; head < heads; head++) {
      const ofHead = seen.subarray(head * (length - first), (head + 1) * (length - first));
      weights.set(ofHead, head * length + first);
    }
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor(head * kvHeads / heads);
      for (let i = 0; i < headDim; i++) {
        const at = (token * heads + head) * headDim + i;
        for (let key = 0; key < length; key++) {
          mixed[at] = (mixed[at] ?? NaN) + (weights[head * length + key] ?? NaN) *
              (values[(key * kvHeads + kvHead) * headDim + i] ?? NaN);
        }
      }
    }
  }
  const attentionSums = referenceAttention({
    ...shape,
    queries,
    keys,
    visible: past + 1,
    reduce: "sum",
  });
  return { mixed, attentionSums };
}

async function run(
  { shape, queries, keys, values, past, tokens }: Case,
  way: "decode" | "observed" | "unobserved" | { readonly window: number },
) {
  const { heads, kvHeads, headDim } = shape;
  const width = kvHeads * headDim;
  const rows = (array: Float32Array, from: number, to: number) =>
    floats(array.subarray(from * width, to * width), [1, to - from, width]);
  const feeds = {
    queries: floats(queries, [1, tokens, heads * headDim]),
    keys: rows(keys, past, past + tokens),
    values: rows(values, past, past + tokens),
    pastKeys: floats(keys.subarray(0, past * width), [past, kvHeads, headDim]),
    pastValues: floats(values.subarray(0, past * width), [past, kvHeads, headDim]),
    lengths: integers([past, tokens]),
    observe: flag(way === "observed"),
  };
  return await runGraph(feeds, (graph) => {
    graph.input("queries", "float32", [1, "T", heads * headDim]);
    for (const name of ["keys", "values"]) graph.input(name, "float32", [1, "T", width]);
    for (const name of ["pastKeys", "pastValues"]) {
      graph.input(name, "float32", ["P", kvHeads, headDim]);
    }
    graph.input("lengths", "int64", [2]);
    graph.input("observe", "bool", [1]);
    const inputs = {
      queries: "queries",
      keys: "keys",
      values: "values",
      pastKeys: "pastKeys",
      pastValues: "pastValues",
    };
    const name = (value: string, as: string, shape: (number | string)[]) => {
      graph.ops("Identity", [value], 1, { names: [as] });
      graph.output(as, "float32", shape);
    };
    if (way === "decode") {
      const past = { keys: "pastKeys", values: "pastValues", parts: "lengths" };
      name(decodeAttention(graph, shape, inputs, [past]), "mixed", [1, "T", heads * headDim]);
      return;
    }
    const total = graph.op("Cast", [
      graph.op("ReduceSum", ["lengths"], { attributes: { keepdims: { int: 0 } } }),
    ], { attributes: { to: { int: 6 } } });
    const last = graph.op("Sub", [
      graph.op("Unsqueeze", [total, graph.integers([0])]),
      graph.constant(Int32Array.of(1), [1]),
    ]);
    if (typeof way === "object") {
      const mixed = slidingAttention(graph, shape, inputs, { last, total }, way.window);
      name(mixed, "mixed", [1, "T", heads * headDim]);
      return;
    }
    const observe = graph.op("Squeeze", ["observe", graph.integers([0])]);
    const result = prefillAttention(graph, shape, inputs, { last, total }, observe);
    name(result.mixed, "mixed", [1, "T", heads * headDim]);
    name(result.attentionSums, "attention_sums", [heads, "N"]);
  });
}

for (const shape of SHAPES) {
  const of = `${shape.heads} heads of ${shape.headDim}, ${shape.kvHeads} KV heads`;

  Deno.test(`decodeAttention() of ${of} equals the reference`, async () => {
    for (const past of [1, 2, 40]) {
      const one = makeCase(shape, past, 1);
      const { mixed } = await run(one, "decode");
      assertEquals(mixed?.dims, [1, 1, shape.heads * shape.headDim]);
      assertClose(floatsOf(mixed), expectedOf(one).mixed, CLOSE, `past ${past}`);
    }
  });

  Deno.test(`prefillAttention() of ${of} equals the reference, observed or not`, async () => {
    for (const [past, tokens] of [[0, 1], [0, 7], [5, 1], [3, 9], [40, 33]] as const) {
      const many = makeCase(shape, past, tokens);
      const expected = expectedOf(many);
      const observed = await run(many, "observed");
      assertClose(floatsOf(observed.mixed), expected.mixed, CLOSE, `mixed, ${past} + ${tokens}`);
      assertClose(
        floatsOf(observed.attention_sums),
        expected.attentionSums,
        { absolute: 1e-5 },
        "attentionSums",
      );
      const unobserved = await run(many, "unobserved");
      assertClose(floatsOf(unobserved.mixed), expected.mixed, CLOSE, "mixed, unobserved");
      assertEquals(unobserved.attention_sums?.dims, [0]);
    }
  });
}

for (const shape of SHAPES) {
  const of = `${shape.heads} heads of ${shape.headDim}, ${shape.kvHeads} KV heads`;

  Deno.test(`slidingAttention() of ${of} sees itself and the window before it`, async () => {
    for (const window of [1, 2, 8, 24]) {
      const pasts = [0, Math.floor(window / 2), window - 1];
      for (const past of pasts) {
        for (const tokens of [1, 2, window - 1, window, window + 1, 2 * window + 3]) {
          if (tokens < 1) continue;
          const many = makeCase(shape, past, tokens);
          const { mixed } = await run(many, { window });
          const expected = expectedOf(many, window).mixed;
          assertClose(floatsOf(mixed), expected, CLOSE, `window ${window}, ${past} + ${tokens}`);
        }
      }
    }
  });
}
