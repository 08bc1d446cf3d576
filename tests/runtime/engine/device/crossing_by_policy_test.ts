import { assert, assertEquals } from "@std/assert";
import type { Crossing } from "../../../../kernels/device/device.ts";
import { judgeQ } from "../../../../policies/judge_q.ts";
import type { Policy } from "../../../../policies/policy.ts";
import { readPrompt } from "../../../../runtime/evict/read.ts";
import { testProvider } from "../../../_device.ts";
import { type TwinModel, twinModel } from "../../../_device_model.ts";
import { smallPolicies } from "../../../_small_policies.ts";
import { newSequence, randomIds } from "../../../_test_model.ts";

const MODEL = "tiny-llama31";
const BUDGET = 20;
/** Prompts of two lengths: what grows, grows with the difference. */
const [SHORT, LONG] = [50, 100];

/** Id of a draft's next token, and whether it is certain. */
const LIKELIEST = "likeliest_token told";

/** What runs the model, whatever the policy is: ids, rotary tables, logits, sizes. */
const STEPS = /^(even_step|device_step|decode_step|ahead_step|counting|zeros|grow_entries)$/;

/** What of it a policy may ask for. */
const ASKED = /^(layer_inputs|input_norms|embeddings|adapter\..*)$/;

/** Slots of a cache: whole numbers that say which tokens are meant. */
const INDICES = /^(slots|best|pinned|chosen|chosen_rows)$/;

/** What a policy sends for each token of the prompt besides indices, by array; all others send nothing so. */
const SENT_BY_TOKEN: Readonly<Record<string, (sizes: Sizes) => Readonly<Record<string, number>>>> =
  {
    // Random numbers are made in main memory, so that they are the same everywhere.
    random: ({ layers, kvHeads }) => ({ "scores given_0": 4 * layers * kvHeads }),
  };

/** Bytes that a policy sends when it first runs with a model, and never again, by array; all others send nothing so. */
const SENT_ONCE: Readonly<Record<string, (sizes: Sizes) => Readonly<Record<string, number>>>> = {
  critical_kv: (sizes) => ({ "output_matrix output": outputBytes(sizes) }),
  kvzip_plus: (sizes) => ({ "output_products output": outputBytes(sizes) }),
  rest_kv: (sizes) => ({ "output_products output": outputBytes(sizes) }),
  // What rotations are made of there: 32 rows of a fine table, and of a coarse one for up to 1,024 tokens.
  expected_attention: ({ headDim }) => ({ "sent_once numbers": 4 * headDim * (32 + 32) }),
  ...Object.fromEntries(
    Object.entries({ judge_q: 32, judge_document: 32, lookahead_kv: 32, restore_kv: 8 })
      .map(([name, soft]) => [
        name,
        ({ hidden }: Sizes) => ({ "sent_once numbers": 4 * soft * hidden }),
      ]),
  ),
};

/** All layers' output matrices, in 32-bit floats. */
const outputBytes = ({ layers, heads, headDim, hidden }: Sizes) =>
  4 * layers * heads * headDim * hidden;

/** What comes back besides indices and logits, and whether it grows with the text; nothing for all others. */
const RECEIVED: Readonly<Record<string, Readonly<Record<string, "grows" | "stays">>>> = {
  judge_q: { [LIKELIEST]: "stays" },
  lookahead_kv: { [LIKELIEST]: "stays" },
  lookahead_q_cache: { [LIKELIEST]: "stays" },
  oracle: { [LIKELIEST]: "stays" },
};

interface Sizes {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly hidden: number;
}

interface Crossed {
  readonly sent: Map<string, number>;
  readonly received: Map<string, number>;
}

/** Bytes of each array that crossed for a policy, but for indices and what steps send and give. */
async function crossed(
  { there: { device, engine }, session, host }: TwinModel,
  policy: Policy,
  tokens: number,
  answerFollows = true,
): Promise<Crossed> {
  const [sent, received] = [new Map<string, number>(), new Map<string, number>()];
  const indices = { out: 0 };
  const logits = { out: 0 };
  device.onCrossing = ({ kernel, name, direction, bytes }: Crossing) => {
    const array = name.replace(/^copy \d+\//, "").replace(/\.\d+$/, "");
    if (array === "logits" && direction === "out") logits.out += bytes;
    if (bytes === 0 || (STEPS.test(kernel) && !ASKED.test(array))) return;
    if (INDICES.test(array)) {
      if (direction === "out") indices.out += bytes;
      return;
    }
    const all = direction === "in" ? sent : received;
    const key = `${kernel} ${array}`;
    all.set(key, (all.get(key) ?? 0) + bytes);
  };
  const ids = randomIds(tokens, host.model.config.vocabulary, 7);
  if (answerFollows) {
    await using open = session({ policy, budget: BUDGET, chunk: 128 });
    await open.read({ ids });
  } else {
    const sequence = newSequence(engine);
    using _cache = sequence.cache;
    const facts = await host.model.facts();
    const now = () => performance.now();
    const reading = { engine, sequence, ids, policy, facts, chunk: 128, scores: false, now };
    await readPrompt({ ...reading, budget: { tokens: BUDGET }, answerFollows });
  }
  device.onCrossing = undefined;
  assertEquals(logits.out, 4 * host.model.config.vocabulary, "those of the last token alone");
  // Indices of what is kept, eight bytes each, whatever the text's length.
  const { layers, kvHeads } = host.model.config;
  assert(indices.out <= 2 * 8 * layers * kvHeads * 2 * BUDGET, `${indices.out} bytes of indices`);
  return { sent, received };
}

// The graphs are those of any device: once is enough.
const ignore = testProvider() === "webgpu";

/** What the longer prompt sends more of, in bytes for each of its tokens more. */
function grown(short: Crossed, long: Crossed): Readonly<Record<string, number>> {
  return Object.fromEntries(
    [...long.sent].flatMap(([array, bytes]) => {
      const more = (bytes - (short.sent.get(array) ?? 0)) / (LONG - SHORT);
      return more === 0 ? [] : [[array, more] as const];
    }),
  );
}

for (const { name, policy } of await smallPolicies()) {
  Deno.test(
    `on a device, it is known what ${name} sends and brings back, and what of it grows with the text`,
    { ignore },
    async () => {
      await using twin = await twinModel(MODEL);
      const { config } = twin.host.model;
      const [short, long] = [await crossed(twin, policy, SHORT), await crossed(twin, policy, LONG)];
      const back = [...long.received].map(([array, bytes]) =>
        [array, bytes > (short.received.get(array) ?? 0) ? "grows" : "stays"] as const
      );
      const expected = RECEIVED[name] ?? {};
      assertEquals(
        Object.fromEntries(back),
        expected,
        "what comes back besides indices and logits",
      );
      const more = SENT_BY_TOKEN[name]?.(config) ?? {};
      assertEquals(grown(short, long), more, "what grows with the text");
      const once = Object.fromEntries([...short.sent].filter(([array]) => !long.sent.has(array)));
      assertEquals(once, SENT_ONCE[name]?.(config) ?? {}, "what is sent once");
    },
  );
}

Deno.test(
  "on a device, a draft that no answer asks for costs one number, whatever the text's length",
  {
    ignore,
  },
  async () => {
    await using twin = await twinModel(MODEL);
    const policy = judgeQ({ draft: 3, window: 4 });
    const [short, long] = [
      await crossed(twin, policy, SHORT, false),
      await crossed(twin, policy, LONG, false),
    ];
    assertEquals(short.sent.get("fill_rows number"), 4);
    assertEquals(grown(short, long), {});
    assertEquals([...long.received], []);
  },
);
