import { gpuState, knownBandwidth } from "../gpu_memory.ts";
import { python } from "../python.ts";
import type { Section } from "../section.ts";

const SOURCE = `
import json, time, torch
def timed(work, times):
    work(); torch.cuda.synchronize(); start = time.perf_counter()
    for _ in range(times): work()
    torch.cuda.synchronize(); return (time.perf_counter() - start) / times
a = torch.empty(2**30, dtype=torch.uint8, device="cuda"); b = torch.empty_like(a)
seconds = timed(lambda: b.copy_(a), 20)
x = torch.randn(4096, 4096, dtype=torch.float16, device="cuda")
product = timed(lambda: x @ x, 20)
w = torch.randn(5632, 2048, dtype=torch.float16, device="cuda")
v = torch.randn(2048, 1, dtype=torch.float16, device="cuda")
row = timed(lambda: w @ v, 200)
print(json.dumps({"GB/s of a copy": 2 * 2**30 / seconds / 1e9,
  "TFLOP/s of 4096³ in 16 bits": 2 * 4096**3 / product / 1e12, "us of 5632x2048 by a row": row * 1e6}))
`;

/** What the card can do, by another library and by its maker. */
export const card: Section = {
  name: "card",
  seconds: 40,
  least: 15,
  async run(_, report) {
    const state = await gpuState();
    const known = state && knownBandwidth(state.name);
    if (known !== undefined) report("the maker's GB/s", { bandwidth: known });
    const lines = await python(SOURCE, 35);
    if (!lines) return report("torch", { skipped: "there is none, or no GPU for it" });
    for (const line of lines) report("torch", JSON.parse(line));
  },
};
