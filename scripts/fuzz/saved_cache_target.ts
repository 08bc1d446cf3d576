import { fillHostCache } from "../../runtime/cache/host_cache.ts";
import { openCheckpoint } from "../../runtime/checkpoint/open.ts";
import { saveCache } from "../../runtime/saved_cache.ts";
import {
  isSavedCache,
  readSavedCache,
  readSavedCacheInfo,
} from "../../runtime/saved_cache_file.ts";
import { stateOf } from "../../runtime/session/state.ts";
import { fixture } from "./checkpoint_targets.ts";
import { SAFETENSORS_MUTATIONS } from "./safetensors_mutations.ts";
import type { FuzzTarget } from "./target.ts";

const TOKENS = 12;
const KEPT = 5;

/** The cache of a conversation that was evicted. */
export const savedCache: FuzzTarget = {
  name: "saved-cache",
  mutations: SAFETENSORS_MUTATIONS,
  async prepare(folder) {
    const path = `${folder}/talk.cache`;
    const { config } = await openCheckpoint(fixture("tiny-llama"));
    const { layers, kvHeads, headDim, vocabulary } = config;
    const shape = { layers, kvHeads, headDim };
    const lengths = Array.from({ length: layers }, () => KEPT);
    using cache = fillHostCache(shape, lengths, (layer, { keys, values }) => {
      keys.fill(layer + 0.5);
      values.fill(-layer);
      const positions = Array.from({ length: kvHeads }, (_, head) => [head, 4, 6, 10, 11]);
      return Int32Array.from(positions.flat());
    });
    const messages = [{ role: "user", content: "Where?" }];
    const state = Object.assign(stateOf({ cache, position: TOKENS, planned: TOKENS }), {
      ids: Array.from({ length: TOKENS }, (_, index) => index + 2),
      logits: new Float32Array(vocabulary),
      tail: 2,
      told: { kind: "chat" as const, messages, open: false },
      answer: "There",
    });
    const fingerprint = "abc";
    const policy = {
      name: "first",
      evidence: { kind: "none" },
      score: () => new Float32Array(0),
    } as const;
    await saveCache(path, state, { fingerprint, budget: KEPT, policy });
    const open = async () => {
      if (isSavedCache(path)) readSavedCacheInfo(path);
      using read = readSavedCache(path, { config, fingerprint }).state.sequence.cache;
      await Promise.resolve(read.bytes);
    };
    return [{ path, bytes: await Deno.readFile(path), open }];
  },
};
