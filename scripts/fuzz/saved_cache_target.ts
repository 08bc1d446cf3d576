import { knorm } from "../../policies/knorm.ts";
import { loadModel } from "../../runtime/model.ts";
import type { Prompt } from "../../runtime/tokenizer/prompt.ts";
import { isSavedCache, readSavedCacheInfo } from "../../runtime/session/saved/file.ts";
import { fixture } from "./checkpoint_targets.ts";
import { SAVED_CACHE_MUTATIONS } from "./saved_cache_mutations.ts";
import type { FuzzTarget, Sample } from "./target.ts";

/** What is read before saving, and how many tokens are answered. */
const PROMPTS: readonly (readonly [Prompt, number])[] = [
  [{ text: "hello world, hello" }, 0],
  [{ ids: [5, 6, 7, 8] }, 2],
  [{ document: "hello world, hello" }, 0],
  [{ messages: [{ role: "user", content: "hello" }] }, 2],
];

/** Sessions that were saved: what is kept of a document, of a text, and of an answer. */
export const savedCache: FuzzTarget = {
  name: "saved-cache",
  mutations: SAVED_CACHE_MUTATIONS,
  async prepare(folder) {
    const home = `${folder}/home`;
    const model = await loadModel(fixture("gguf/tiny-q4_k_m.gguf"), { home, threads: 1 });
    const options = { policy: knorm(), budget: 12 };
    const path = `${folder}/saved.safetensors`;
    const open = async () => {
      if (isSavedCache(path)) readSavedCacheInfo(path);
      await using session = model.session(options);
      await session.load(path);
      for await (const _ of session.ask("hello", { maxTokens: 1 }));
    };
    const samples: Sample[] = [];
    for (const [prompt, maxTokens] of PROMPTS) {
      await using session = model.session(options);
      await session.read(prompt);
      if (maxTokens > 0) { for await (const _ of session.generate({ maxTokens })); }
      await session.save(path);
      samples.push({ path, bytes: await Deno.readFile(path), open });
    }
    const [first, ...others] = samples;
    if (!first) throw new Error("Nothing was saved");
    return [first, ...others];
  },
};
