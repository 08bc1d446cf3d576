import { assertEquals } from "@std/assert";
import type { Eviction, Measurement } from "../../bench/engine/protocol.ts";
import { toJson, workOut } from "../../bench/results.ts";
import type { Sample } from "../../bench/rounds.ts";

const bytes = { before: 1000, after: 250, kept: 250, entries: 25 };

function sample(
  round: number,
  name: string,
  [prefillMs, decodeMs]: readonly [number, number],
  policy?: string,
): Sample {
  const eviction: Eviction = {
    ms: prefillMs / 100,
    observedFrom: 100,
    progress: [[100, prefillMs]],
    bytes,
  };
  const value: Measurement = {
    prefillMs,
    decodeMs,
    steps: 10,
    cacheBytes: 500,
    ...(name === "kvjudge" ? { eviction } : {}),
  };
  return { round, name, length: 100, foreignLoad: 0, value, ...(policy ? { policy } : {}) };
}

const own = [
  sample(0, "kvjudge", [100, 100]),
  sample(1, "kvjudge", [200, 100]),
  sample(0, "kvjudge", [100, 50], "snapkv"),
  sample(1, "kvjudge", [200, 50], "snapkv"),
  sample(0, "kvjudge", [100, 70], "h2o"),
];
const peers = [
  sample(0, "llama_cpp_q8_0", [200, 100]),
  sample(1, "llama_cpp_q8_0", [800, 100]),
  sample(0, "llama_cpp_q4_1", [500, 200]),
];
const PEERS = { llama_cpp_q8_0: 500, llama_cpp_q4_1: 500 };
const rest = { peakMemory: { tokens: 99, bytes: new Map([["kvjudge", 7]]) }, quality: [] };

Deno.test("workOut gives the range of a ratio within the rounds", () => {
  const [row] = workOut([...own, ...peers]).prefill;
  // Medians 750 and 312.5 tokens per second; 2 times as fast in one round, 4 times in the other.
  assertEquals(row?.ratio, { median: 2.4, min: 2, max: 4 });
});

Deno.test("workOut leaves out disturbed samples where there are quiet ones", () => {
  const disturbed = { ...sample(2, "kvjudge", [10_000, 100]), foreignLoad: 0.5 };
  assertEquals(workOut([...own, disturbed, ...peers]), workOut([...own, ...peers]));
});

Deno.test("workOut gives no ratio where all samples of an engine were disturbed", () => {
  const disturbed = peers.map((sample) => ({ ...sample, foreignLoad: 0.5 }));
  const [row] = workOut([...own, ...disturbed]).prefill;
  assertEquals(row?.ratio, undefined);
  assertEquals(row?.speeds.get("llama_cpp_q8_0")?.median, 312.5);
});

Deno.test("toJson gives medians, ratios to Q8_0, shares and bytes by prompt length", () => {
  assertEquals(toJson({ ...workOut([...own, ...peers]), ...rest }), {
    prefill: {
      100: { kvjudge: 750, llama_cpp_q8_0: 312.5, llama_cpp_q4_1: 200, ratio: 2.4 },
    },
    decode_full: {
      100: { kvjudge: 100, llama_cpp_q8_0: 100, llama_cpp_q4_1: 50, ratio: 1 },
    },
    decode_evicted: {
      100: { kvjudge: 200, llama_cpp_q8_0: 100, llama_cpp_q4_1: 50, ratio: 2 },
    },
    eviction_share: { 100: { snapkv: 0.01, h2o: 0.01 } },
    cache_bytes: { 100: { before: 1000, after: 250, kept: 250, ...PEERS } },
    peak_rss: 7,
    peak_memory: { tokens: 99, kvjudge: 7 },
  });
});

Deno.test("toJson has no ratios without a peer", () => {
  const { prefill } = toJson({ ...workOut(own), ...rest }) as { prefill: unknown };
  assertEquals(prefill, { 100: { kvjudge: 750 } });
});
