import { SHAPES } from "../../big_checkpoint/shapes.ts";
import { python } from "../python.ts";
import type { Section } from "../section.ts";

const SOURCE = `
import json, sys, time, torch
from transformers import LlamaConfig, LlamaForCausalLM
s = json.loads(SHAPE)
config = LlamaConfig(hidden_size=s["hidden"], num_hidden_layers=s["layers"],
  num_attention_heads=s["heads"], num_key_value_heads=s["kvHeads"],
  intermediate_size=s["intermediate"], vocab_size=s["vocabulary"],
  max_position_embeddings=s["context"], attn_implementation="sdpa")
torch.set_default_dtype(torch.float16)
with torch.device("cuda"): model = LlamaForCausalLM(config).eval()
@torch.inference_mode()
def once(length, steps):
    ids = torch.randint(2, s["vocabulary"], (1, length), device="cuda")
    torch.cuda.synchronize(); start = time.perf_counter()
    out = model(ids, use_cache=True, logits_to_keep=1); torch.cuda.synchronize()
    read = time.perf_counter() - start
    cache, token = out.past_key_values, out.logits[:, -1:].argmax(-1)
    start = time.perf_counter()
    for _ in range(steps):
        out = model(token, past_key_values=cache, use_cache=True)
        token = out.logits[:, -1:].argmax(-1); token.item()
    return read, (time.perf_counter() - start) / steps
once(512, 4)
for length in (512, 2048, 4096, 8192, 32768):
    once(length, 2)
    read, step = once(length, 32)
    print(json.dumps({"tokens": length, "prefill tok/s": length / read, "decode ms/token": step * 1000}), flush=True)
`;

/** The same shape in torch and transformers, in 16-bit floats. */
export const peer: Section = {
  name: "peer",
  seconds: 60,
  least: 30,
  async run({ model }, report) {
    const shape = SHAPES[model];
    if (!shape) return report("transformers", { skipped: "only for random checkpoints" });
    const literal = JSON.stringify(JSON.stringify(shape));
    const lines = await python(SOURCE.replace("SHAPE", literal), 55);
    if (!lines) return report("transformers", { skipped: "there is none, or no GPU for it" });
    for (const line of lines) report("transformers", JSON.parse(line));
  },
};
