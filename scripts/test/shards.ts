/** Test files that run in one process. */
export interface Shard {
  /** What the log calls it. */
  readonly name: string;
  readonly files: readonly string[];
}

/**
 * The longest, each in a process of its own and the first to start, so that none is left over at the
 * end. Of two that a file begins with, the first has it.
 */
const LONGEST: readonly string[] = [
  "tests/device/",
  "tests/server/",
  "tests/queue/",
  "tests/examples_test.ts",
  "tests/runtime/gemma3_270m_test.ts",
  "tests/runtime/smollm2_test.ts",
  "tests/commands/train",
  "tests/commands/eval",
  "tests/commands/",
  "tests/runtime/checkpoints_test.ts",
  "tests/runtime/engine/",
  "tests/evaluation/",
  "tests/runtime/session/windows_far_back_test.ts",
  "tests/runtime/session/",
  "tests/runtime/",
  "tests/training/",
];

/** Need a GPU, a browser, the real model, other processes or minutes. */
const SLOW: readonly string[] = [
  "tests/bench/serve/real_load_test.ts",
  "tests/cli_test.ts",
  "tests/commands/",
  "tests/device/",
  "tests/docs/",
  "tests/evaluation/benchmarks/ruler/tasks_test.ts",
  "tests/evaluation/report/",
  "tests/examples_test.ts",
  "tests/import_by_url_test.ts",
  "tests/kernels/device/placement_test.ts",
  "tests/plugins/",
  "tests/policies/pairs_test.ts",
  "tests/queue/",
  "tests/public_docs_test.ts",
  "tests/runtime/checkpoints_test.ts",
  "tests/runtime/device/",
  "tests/runtime/engine/device/score_kernels_test.ts",
  "tests/runtime/models/",
  "tests/runtime/gemma3_270m_test.ts",
  "tests/runtime/peak_memory_test.ts",
  "tests/runtime/session/windows_conversation_test.ts",
  "tests/runtime/session/windows_far_back_test.ts",
  "tests/runtime/smollm2_test.ts",
  "tests/runtime/tokenizer/smollm2_test.ts",
  "tests/server/documents/killed_test.ts",
  "tests/server/engine/",
  "tests/server/examples_test.ts",
  "tests/runtime/window_policies_test.ts",
  "tests/scripts/",
  "tests/server/page/",
  "tests/server/scheduler/batch_scheduler_test.ts",
  "tests/server/scheduler/faults_test.ts",
  "tests/training/resume_test.ts",
  "tests/training/train_test.ts",
];

/** The files of the inner loop, out of all. */
export function fastFiles(files: readonly string[]): readonly string[] {
  return files.filter((file) => !startsWithAny(file, SLOW));
}

/** Divides test files: each goes into exactly one shard, those that start first in front. */
export function divide(files: readonly string[]): readonly Shard[] {
  const shards = new Map<string, string[]>(LONGEST.map((name) => [name, []]));
  for (const file of files.toSorted()) {
    const name = LONGEST.find((start) => file.startsWith(start)) ?? folderOf(file);
    shards.set(name, [...shards.get(name) ?? [], file]);
  }
  return [...shards].flatMap(([name, files]) => files.length > 0 ? [{ name, files }] : []);
}

function startsWithAny(file: string, starts: readonly string[]): boolean {
  return starts.some((start) => file.startsWith(start));
}

/** `tests/runtime/` of `tests/runtime/cache/host_cache_test.ts`. */
function folderOf(file: string): string {
  const parts = file.split("/");
  return parts.slice(0, Math.min(2, parts.length - 1)).join("/") + "/";
}
