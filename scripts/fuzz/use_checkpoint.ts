import { dirname } from "node:path";
import { openCheckpoint } from "../../runtime/checkpoint/open.ts";
import type { TokenizerSource } from "../../runtime/checkpoint/checkpoint.ts";
import { loadModel } from "../../runtime/model.ts";
import { modelFacts } from "../../runtime/models/facts.ts";
import type { PrecisionChoice } from "../../runtime/weights/precisions.ts";
import { createTokenizer } from "../../runtime/tokenizer/create_tokenizer.ts";
import { createHostCache } from "../../runtime/cache/host_cache.ts";
import type { Draw } from "./draw.ts";

const TEXT = "Hello,  wörld <s> 12345\n\t\u{1f600} it's </s>";
const IDS = [0, 1, 5, 300, 2 ** 31];

/** Reads a text and says a few tokens, as a session would. */
export function useTokenizer(source: TokenizerSource): void {
  const tokenizer = createTokenizer(source);
  tokenizer.decode(tokenizer.encode(TEXT));
  tokenizer.decode(IDS, { skipSpecial: true });
  if (tokenizer.hasChatTemplate) tokenizer.encodeChat([{ role: "user", content: TEXT }]);
}

/** Opens a checkpoint and reads some of its weights; now and then it also runs the model. */
export async function useCheckpoint(path: string, draw: Draw): Promise<void> {
  const checkpoint = await openCheckpoint(path);
  await modelFacts(checkpoint);
  if (checkpoint.tokenizer.kind !== "absent") useTokenizer(checkpoint.tokenizer);
  if (draw.below(40) === 0) await runModel(path, draw);
}

async function runModel(path: string, draw: Draw): Promise<void> {
  const dir = path.endsWith(".gguf") ? dirname(path) : path;
  const home = await Deno.makeTempDir({ dir });
  try {
    const precision = draw.pick<PrecisionChoice>(["auto", "fp32", "int8"]);
    await using model = await loadModel(path, { home, threads: 1, precision });
    using cache = createHostCache(model.config);
    await model.engine.advance({ cache, position: 0, planned: 3 }, { ids: [0, 1, 2], rows: [2] });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}
