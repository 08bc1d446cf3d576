import { assert, assertEquals } from "@std/assert";
import type { LayerView, Policy } from "../../policies/policy.ts";
import { readFloats, readTensor } from "../../runtime/checkpoint/safetensors.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { keepPerLayer } from "../../runtime/evict/allocate.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { referenceAttention } from "../_reference_attention.ts";

/** Checkpoints whose answers are known. */
export const GOLDENS = ["tiny-llama", "tiny-llama31", "tiny-mistral", "tiny-qwen2", "tiny-qwen3"];

/** Scores that are nearer than this, relative to the larger, count as tied: float32 noise. */
const TIE = 1e-5;

/** What the golden says of one layer. */
export interface GoldenLayer {
  readonly model: string;
  readonly layer: number;
  /** Tokens kept per KV head. */
  readonly keep: number;
  readonly view: LayerView;
  /** `[kvHeads × length]`. */
  readonly scores: (policy: string) => Float32Array;
  /** Ascending indices per KV head. */
  readonly kept: (policy: string) => readonly Int32Array[];
}

/** Every layer of every golden, seen by a policy with the given evidence. */
export async function goldenLayers(policy: Policy): Promise<readonly GoldenLayer[]> {
  const { evidence } = policy;
  const read = async (model: string): Promise<readonly GoldenLayer[]> => {
    const folder = new URL(`../fixtures/${model}/`, import.meta.url);
    const path = new URL("golden.safetensors", folder).pathname;
    const settings = JSON.parse(Deno.readTextFileSync(new URL("golden.json", folder)));
    const { layers, heads, kv_heads: kvHeads, head_dim: headDim, tokens: length } = settings;
    const floats = (name: string) => readFloats(path, name).data;
    const shape = { layers, kvHeads, headDim };
    const keep = await keepPerLayer(policy, { length, budget: settings.kept, shape });
    return Array.from({ length: layers }, (_, layer): GoldenLayer => {
      const queries = floats(`q.${layer}`);
      const keys = floats(`k.${layer}`);
      const size = evidence.kind === "window" ? evidence.size : 0;
      const attention = evidence.kind === "accumulated"
        ? floats(`attention_sum.${layer}`)
        : referenceAttention({
          queries: queries.slice((length - size) * heads * headDim),
          keys,
          heads,
          kvHeads,
          headDim,
          visible: length - size + 1,
          reduce: "mean",
        });
      const view = fakeLayer({
        ...{ layer, layers, heads, kvHeads, headDim, length, keys },
        values: floats(`v.${layer}`),
        ...(evidence.kind === "none" ? {} : { attention }),
      });
      return {
        ...{ model, layer, view, keep: keep[layer] ?? NaN },
        scores: (policy) => floats(`${policy}.scores.${layer}`),
        kept: (policy) => {
          const { data, shape: [, kept = 0] } = readTensor(path, `${policy}.kept.${layer}`);
          assert(data instanceof Int32Array);
          return Array.from(
            { length: kvHeads },
            (_, head) => data.slice(head * kept, (head + 1) * kept),
          );
        },
      };
    });
  };
  return (await Promise.all(GOLDENS.map(read))).flat();
}

/**
 * Checks that a policy keeps what the golden keeps, ties in the golden's scores aside; says how many
 * there were.
 */
export async function assertGoldenKept(policy: Policy): Promise<void> {
  let ties = 0;
  let total = 0;
  for (const golden of await goldenLayers(policy)) {
    const { model, layer, view, keep } = golden;
    const kept = await selectKept(policy, view, keep);
    const scores = golden.scores(policy.name);
    for (const [head, expected] of golden.kept(policy.name).entries()) {
      const got = kept[head] ?? new Int32Array(0);
      assertEquals(got.length, expected.length);
      total += expected.length;
      const score = (index: number) => scores[head * view.length + index] ?? NaN;
      const missing = expected.filter((index) => !got.includes(index));
      const surplus = got.filter((index) => !expected.includes(index));
      const threshold = Math.min(...Array.from(expected, score));
      for (const index of [...missing, ...surplus]) {
        assert(
          Math.abs(score(index) - threshold) <= TIE * Math.abs(threshold),
          `${policy.name} on ${model}, layer ${layer}, head ${head}: token ${index} is no tie`,
        );
      }
      ties += missing.length;
    }
  }
  console.log(`${policy.name}: ${ties} of ${total} kept tokens differ, all of them ties`);
}

/** Checks scores against the golden's: relative, with room for the noise of a sum near zero. */
export async function assertGoldenScores(
  policy: Policy,
  compared: (index: number, length: number) => boolean = () => true,
): Promise<void> {
  assert("score" in policy);
  for (const { model, layer, view, scores } of await goldenLayers(policy)) {
    const expected = scores(policy.name);
    const got = await policy.score(view);
    assertEquals(got.length, expected.length);
    for (const [index, value] of got.entries()) {
      if (!compared(index % view.length, view.length)) continue;
      const wanted = expected[index] ?? NaN;
      assert(
        Math.abs(value - wanted) <= 1e-5 * Math.abs(wanted) + 1e-7,
        `${policy.name} on ${model}, layer ${layer}, score ${index}: ${value}, expected ${wanted}`,
      );
    }
  }
}
