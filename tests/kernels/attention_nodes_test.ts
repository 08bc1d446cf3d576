import { assertEquals } from "@std/assert";
import {
  type AttentionShape,
  groupQueryAttention,
  liesByHead,
  tokenMajorAttention,
} from "../../kernels/attention_nodes.ts";
import { floats, floatsOf, int32s } from "../../kernels/session.ts";
import { assertClose, noise } from "../_close.ts";
import { referenceAttention } from "../_reference_attention.ts";
import { byHead } from "./_by_head.ts";
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

type Way = "decode" | "observed" | "unobserved" | { readonly window: number };

async function run(
  { shape, queries, keys, values, past, tokens }: Case,
  way: Way,
  spare = 0,
) {
  const { heads, kvHeads, headDim } = shape;
  const width = kvHeads * headDim;
  const window = typeof way === "object" ? way.window : undefined;
  const turned = way !== "decode" && liesByHead(shape, window);
  const rows = (array: Float32Array) =>
    floats(array.subarray(past * width, (past + tokens) * width), [1, tokens, width]);
  const held = (array: Float32Array) => {
    const shown = array.subarray(0, past * width);
    return turned
      ? floats(byHead(shown, shape, past + spare), [1, kvHeads, past + spare, headDim])
      : floats(shown, [past, kvHeads, headDim]);
  };
  const feeds = {
    queries: floats(queries, [1, tokens, heads * headDim]),
    keys: rows(keys),
    values: rows(values),
    pastKeys: held(keys),
    pastValues: held(values),
    last: int32s([past + tokens - 1]),
    total: int32s([past + tokens]),
  };
  return await runGraph(feeds, (graph) => {
    graph.input("queries", "float32", [1, "T", heads * headDim]);
    for (const name of ["keys", "values"]) graph.input(name, "float32", [1, "T", width]);
    for (const name of ["pastKeys", "pastValues"]) {
      graph.input(name, "float32", turned ? [1, kvHeads, "P", headDim] : ["P", kvHeads, headDim]);
    }
    for (const name of ["last", "total"]) graph.input(name, "int32", [1]);
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
      const { mixed } = tokenMajorAttention(graph, shape, inputs);
      name(mixed, "mixed", [1, "T", heads * headDim]);
      return;
    }
    const lengths = { last: "last", total: "total" };
    const observed = way === "observed";
    const result = groupQueryAttention(graph, shape, inputs, lengths, { observed, window });
    name(result.mixed, "mixed", [1, "T", heads * headDim]);
    assertEquals(result.attentionSums === undefined, !observed);
    if (result.attentionSums !== undefined) name(result.attentionSums, "attention_sums", ["N"]);
    if (!result.present) return;
    name(result.present.keys, "present_keys", [1, kvHeads, "C", headDim]);
    name(result.present.values, "present_values", [1, kvHeads, "C", headDim]);
  });
}

for (const shape of SHAPES) {
  const of = `${shape.heads} heads of ${shape.headDim}, ${shape.kvHeads} KV heads`;

  Deno.test(`tokenMajorAttention() of ${of} equals the reference`, async () => {
    for (const past of [1, 2, 40]) {
      const one = makeCase(shape, past, 1);
      const { mixed } = await run(one, "decode");
      assertEquals(mixed?.dims, [1, 1, shape.heads * shape.headDim]);
      assertClose(floatsOf(mixed), expectedOf(one).mixed, CLOSE, `past ${past}`);
    }
  });

  Deno.test(`groupQueryAttention() of ${of} equals the reference, observed or not`, async () => {
    for (
      const [past, tokens] of [[0, 1], [0, 7], [1, 1], [5, 1], [40, 1], [3, 9], [40, 33]] as const
    ) {
      const many = makeCase(shape, past, tokens);
      const expected = expectedOf(many);
      // Slots to spare: fewer than the new tokens, as many and more.
      for (const spare of [0, tokens, tokens + 5]) {
        const observed = await run(many, "observed", spare);
        const what = `${past} + ${tokens}, ${spare} to spare`;
        assertClose(floatsOf(observed.mixed), expected.mixed, CLOSE, `mixed, ${what}`);
        assertClose(
          floatsOf(observed.attention_sums),
          expected.attentionSums,
          { absolute: 1e-5 },
          `attentionSums, ${what}`,
        );
        const unobserved = await run(many, "unobserved", spare);
        assertClose(floatsOf(unobserved.mixed), expected.mixed, CLOSE, `unobserved, ${what}`);
        assertEquals(unobserved.present_keys === undefined, shape.headDim % 8 !== 0);
        if (!unobserved.present_keys) continue;
        const slots = past + Math.max(spare, tokens);
        const whole = (rows: Float32Array) => byHead(rows, shape, slots).map((one) => one || 0);
        const present = floatsOf(unobserved.present_keys).map((one) => one || 0);
        assertEquals(present, whole(many.keys), `present keys, ${what}`);
      }
    }
  });
}

for (const shape of SHAPES) {
  const of = `${shape.heads} heads of ${shape.headDim}, ${shape.kvHeads} KV heads`;

  Deno.test(`groupQueryAttention() of ${of} with a window sees itself and the window before it`, async () => {
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
