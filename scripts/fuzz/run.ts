import { spawnPiped } from "../../runtime/piped_command.ts";
import { type ChildOrder, READY } from "./child.ts";
import type { CaseResult } from "./target.ts";

/** How to run. */
export interface FuzzOptions {
  /** Names of targets. */
  readonly targets: readonly string[];
  /** Cases of all targets together. */
  readonly count: number;
  readonly seed: number;
  /** First case. @default {0} */
  readonly from?: number;
  /** Module that exports `TARGETS`. @default {`targets.ts`} */
  readonly registry?: string;
  /** Milliseconds without a word after which a case counts as hanging. @default {20_000} */
  readonly silence?: number;
  /** Leaves the damaged file of the last case here. */
  readonly keep?: string;
  /** Hears every case. */
  readonly onCase?: (result: CaseResult) => void;
}

/** Heap of the process that opens the files; what needs more crashes, which is a failure. */
const HEAP_MEGABYTES = 256;

/** Failures of one target after which it is left alone. */
const MAX_FAILURES = 25;

/**
 * Runs cases in processes of their own: one that crashes or hangs is recorded, and the next process
 * goes on after it.
 */
export async function fuzz(options: FuzzOptions): Promise<CaseResult[]> {
  const { targets, count, from = 0 } = options;
  const results: CaseResult[] = [];
  for (const [place, target] of targets.entries()) {
    const share = Math.floor(count / targets.length) + (place < count % targets.length ? 1 : 0);
    let failures = 0;
    for (let next = from; next < from + share && failures < MAX_FAILURES;) {
      for await (const result of runChild(target, next, from + share - next, options)) {
        if (result.outcome === "failed") failures++;
        results.push(result);
        options.onCase?.(result);
        next = result.index + 1;
      }
    }
  }
  return results;
}

async function* runChild(
  target: string,
  from: number,
  count: number,
  { seed, registry, silence = 20_000, keep }: FuzzOptions,
): AsyncGenerator<CaseResult> {
  // Made and removed here: a process that crashes cannot tidy up.
  const folder = await Deno.makeTempDir({ prefix: "kvjudge-fuzz-" });
  const order: ChildOrder = {
    folder,
    registry: registry ?? new URL("targets.ts", import.meta.url).href,
    target,
    seed,
    from,
    count,
    ...(keep === undefined ? {} : { keep }),
  };
  const script = new URL("child.ts", import.meta.url);
  const flags = ["--no-check", "--quiet", `--v8-flags=--max-old-space-size=${HEAP_MEGABYTES}`];
  const permissions = ["read", "write", "env", "ffi", "sys"].map((name) => `--allow-${name}`);
  const child = spawnPiped({
    program: Deno.execPath(),
    args: ["run", ...flags, ...permissions, script.href, JSON.stringify(order)],
  });
  const words = new Response(child.stderr).text();
  let hangs = false;
  let running = true;
  const ended = child.status.finally(() => running = false);
  const kill = () => {
    hangs = true;
    if (running) child.kill("SIGKILL");
  };
  let timer = setTimeout(kill, silence);
  let next = from;
  let ready = false;
  try {
    for await (const line of linesOf(child.stdout)) {
      clearTimeout(timer);
      timer = setTimeout(kill, silence);
      ready = true;
      if (line === READY) continue;
      const result: CaseResult = JSON.parse(line);
      next = result.index + 1;
      yield result;
    }
    const { code } = await ended;
    if (next === from + count) return;
    if (!ready) throw new Error(`Target ${target} does not open its whole files: ${await words}`);
    const message = hangs
      ? `says nothing for ${silence} ms`
      : `ends the process (exit code ${code}): ${(await words).trim().slice(0, 2000)}`;
    const nothing = { milliseconds: 0, bytes: 0, allocated: 0 };
    yield { target, index: next, outcome: "failed", ...nothing, message };
  } finally {
    clearTimeout(timer);
    if (running) child.kill("SIGKILL");
    await Promise.all([ended, words]);
    await Deno.remove(folder, { recursive: true });
  }
}

async function* linesOf(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line.startsWith("{"));
  }
}
