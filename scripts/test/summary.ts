/** How many tests ended how. */
export interface Counts {
  readonly passed: number;
  readonly steps: number;
  readonly failed: number;
  readonly ignored: number;
}

/** No tests at all. */
export const NONE: Counts = { passed: 0, steps: 0, failed: 0, ignored: 0 };

/** What `deno test` sums up as `ok | 12 passed (3 steps) | 1 failed | 2 ignored (3s)`, if it does. */
export function readCounts(output: string): Counts | undefined {
  const line = output.match(/^(?:ok|FAILED) \| \d+ passed.*$/gm)?.at(-1);
  if (line === undefined) return undefined;
  const count = (pattern: RegExp) => Number(pattern.exec(line)?.[1] ?? 0);
  return {
    passed: count(/(\d+) passed/),
    steps: count(/passed \((\d+) steps?/),
    failed: count(/(\d+) failed/),
    ignored: count(/(\d+) ignored/),
  };
}

/** The sum of both. */
export function add(a: Counts, b: Counts): Counts {
  return {
    passed: a.passed + b.passed,
    steps: a.steps + b.steps,
    failed: a.failed + b.failed,
    ignored: a.ignored + b.ignored,
  };
}

/** Counts and a time as `deno test` writes them. */
export function summaryLine(
  { passed, steps, failed, ignored }: Counts,
  milliseconds: number,
): string {
  const seconds = Math.round(milliseconds / 1000);
  const time = seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  const parts = [
    failed > 0 ? "FAILED" : "ok",
    `${passed} passed${steps > 0 ? ` (${steps} steps)` : ""}`,
    `${failed} failed`,
    ...(ignored > 0 ? [`${ignored} ignored`] : []),
  ];
  return `${parts.join(" | ")} (${time})`;
}

/** Of what `deno test` wrote: the errors whole if there are any, and the names of ignored tests. */
export function worthShowing(output: string, failed: boolean): string {
  if (!failed) return (output.match(/^.* \.\.\. ignored.*$/gm) ?? []).join("\n");
  const errors = output.indexOf("\n ERRORS \n");
  return errors < 0 ? output : output.slice(errors + 1);
}
