import type { ModelFacts } from "../../policies/policy.ts";
import { adapterShape } from "../../runtime/soft_tokens/adapters.ts";
import { parseCard, writeSoftTokens } from "../../runtime/soft_tokens/card.ts";
import { readModelFile } from "../../runtime/model_files/file.ts";
import { readSoftTokens, resolveSoftTokens } from "../../runtime/soft_tokens/read.ts";
import { openCheckpoint } from "../../runtime/checkpoint/open.ts";
import { fixture } from "./checkpoint_targets.ts";
import { SAFETENSORS_MUTATIONS } from "./safetensors_mutations.ts";
import type { FuzzTarget } from "./target.ts";

/** Trained soft tokens, with adapters and a card. */
export const softTokens: FuzzTarget = {
  name: "soft-tokens",
  mutations: SAFETENSORS_MUTATIONS,
  async prepare(folder) {
    const path = `${folder}/soft.safetensors`;
    const { config } = await openCheckpoint(fixture("tiny-llama"));
    const { hidden, heads, headDim, layers } = config;
    const model: ModelFacts = {
      hidden,
      layers,
      fingerprint: "abc",
      identity: "def",
      embeddingRms: 1,
      readSoftTokens,
      readModelFile,
    };
    const tensors: Record<string, Float32Array> = {};
    for (let layer = 0; layer < layers; layer++) {
      tensors[`adapter.${layer}.q.a`] = new Float32Array(hidden * 2).fill(0.5);
      tensors[`adapter.${layer}.q.b`] = new Float32Array(2 * heads * headDim).fill(0.25);
    }
    const adapters = { rank: 2, tensors };
    const tokens = { count: 2, hidden, embeddings: new Float32Array(2 * hidden).fill(1), adapters };
    const card = { model: "tiny", lossStart: 1, lossEnd: 0.5, settings: { steps: 3 } };
    await writeSoftTokens(path, tokens, model, card);
    const open = async () => {
      const read = await resolveSoftTokens(() => readSoftTokens(path), model);
      if (read.adapters) adapterShape(read.adapters, config);
      parseCard(read.card ?? {});
    };
    return [{ path, bytes: await Deno.readFile(path), open }];
  },
};
