/**
 * Loads a server as many clients would: streams of chats with and without eviction, prompts that begin
 * alike, clients that leave. `deno task bench-serve --clients 100 --seconds 60 --model M`; with
 * `--url` a server that runs is asked. Fails if anything but 503 went wrong, or memory grew after the
 * first third.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { xoroshiro128plusFromState } from "npm:pure-rand@8.4.2/generator/xoroshiro128plus";
import { seededState } from "../runtime/sampling/seeded_state.ts";
import { type LoadResult, runLoad } from "./serve/load.ts";
import { startServerProcess } from "./serve/server_process.ts";

/** Growth of memory between the first third and the end that is no leak. */
const FLAT = 0.15;

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "100" },
    seconds: { type: "string", default: "60" },
    tokens: { type: "string", default: "32" },
    seed: { type: "string", default: "1" },
    model: { type: "string", default: "smollm2-135m-instruct" },
    url: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}

function summary(result: LoadResult, seconds: number, memory: readonly number[]) {
  const spread = (numbers: readonly number[]) => ({
    p50: percentile(numbers, 0.5),
    p95: percentile(numbers, 0.95),
  });
  return {
    answered: result.answered,
    refused: result.refused,
    left: result.left,
    errors: result.errors,
    tokens_per_second: Math.round(result.tokens / seconds * 10) / 10,
    first_token_ms: spread(result.first),
    between_tokens_ms: spread(result.between),
    memory_mib: memory.map((bytes) => Math.round(bytes / 2 ** 20)),
  };
}

async function main(): Promise<number> {
  const seconds = Number(values.seconds);
  const random = xoroshiro128plusFromState(seededState(Number(values.seed)));
  await using own = values.url === undefined
    ? await startServerProcess(["--model", values.model, "--max-queue", "200"])
    : undefined;
  const memory: number[] = [];
  const look = async () => {
    const bytes = await own?.memory();
    if (bytes !== undefined) memory.push(bytes);
  };
  const looking = setInterval(look, seconds * 1000 / 12);
  const apiKey = Deno.env.get("KVJUDGE_API_KEY");
  const path = fileURLToPath(new URL("../examples/speckled_band.txt", import.meta.url));
  const result = await runLoad({
    url: own?.url ?? values.url ?? "",
    clients: Number(values.clients),
    seconds,
    maxTokens: Number(values.tokens),
    text: await Deno.readTextFile(path),
    random: () => (random.next() >>> 0) / 2 ** 32,
    now: () => performance.now(),
    ...(apiKey === undefined ? {} : { apiKey }),
  });
  clearInterval(looking);
  await look();
  const told = summary(result, seconds, memory);
  console.log(values.json ? JSON.stringify(told) : Deno.inspect(told, { colors: false, depth: 4 }));
  const after = memory.slice(Math.floor(memory.length / 3));
  const grown = after.length > 1 && Math.max(...after.slice(-2)) > (after[0] ?? 0) * (1 + FLAT);
  if (grown) console.error("memory grew after the first third");
  if (result.errors.length > 0) console.error(`${result.errors.length} requests failed`);
  return result.errors.length > 0 || grown || result.answered === 0 ? 1 : 0;
}

Deno.exit(await main());
