import { type PipedCommand, spawnPiped } from "../../runtime/piped_command.ts";
import { findingIn } from "./finding.ts";
import type { PlannedSection } from "./section.ts";
import type { Results } from "./results.ts";

/** A program that runs a section and prints findings. */
export type SectionCommand = Omit<PipedCommand, "detached">;

/** How sections are run. */
export interface RunOptions {
  /** Seconds for all of them. */
  readonly seconds: number;
  readonly command: (section: string) => SectionCommand;
  readonly results: Results;
  /** Milliseconds since some moment. @default {performance.now} */
  readonly now?: () => number;
}

/** Seconds that a section has to end when its time is over, before it is killed. */
const GRACE = 1;

/**
 * Runs sections one after the other, each in a process of its own, and each no longer than its time
 * and what is left of all: what crashes or hangs there costs that section alone.
 */
export async function runSections(
  sections: readonly PlannedSection[],
  { seconds, command, results, now = () => performance.now() }: RunOptions,
): Promise<void> {
  const start = now();
  const at = () => (now() - start) / 1000;
  for (const section of sections) {
    const left = seconds - at();
    const { name } = section;
    const add = (what: string, values: Record<string, number | string>, pass?: boolean) =>
      results.add({ section: name, at: at(), what, values, ...pass === undefined ? {} : { pass } });
    if (left < section.least) {
      add("skipped: too little time is left", { left, least: section.least });
      continue;
    }
    const begun = at();
    const limit = Math.min(section.seconds, left);
    const end = await runOne(command(name), limit, (line) => {
      const finding = findingIn(line);
      if (finding) results.add({ section: name, at: at(), ...finding });
      else if (line !== "") results.log(`${name}: ${line}`);
    });
    const took = at() - begun;
    if (end.late) add("ended: its time was over", { seconds: took, limit }, false);
    else if (end.signal !== null || end.code !== 0) {
      const said = end.said.trim().slice(-600);
      add("broke", { code: end.code, signal: end.signal ?? "none", said }, false);
    } else add("done", { seconds: took });
  }
}

interface SectionEnd {
  readonly code: number;
  readonly signal: string | null;
  readonly late: boolean;
  /** The end of what it printed on its standard error. */
  readonly said: string;
}

async function runOne(
  command: SectionCommand,
  seconds: number,
  onLine: (line: string) => void,
): Promise<SectionEnd> {
  const child = spawnPiped({ ...command, detached: true });
  let late = false;
  let said = "";
  const kill = (signal: "SIGTERM" | "SIGKILL") => {
    try {
      // The process and all that it started.
      Deno.kill(-child.pid, signal);
    } catch {
      // They ended by themselves.
    }
  };
  const timers = [
    setTimeout(() => {
      late = true;
      kill("SIGTERM");
    }, seconds * 1000),
    setTimeout(() => kill("SIGKILL"), (seconds + GRACE) * 1000),
  ];
  try {
    const reading = [
      eachLine(child.stdout, onLine),
      eachLine(child.stderr, (line) => {
        onLine(line);
        said = `${said}\n${line}`.slice(-2000);
      }),
    ];
    const { code, signal } = await child.status;
    // A grandchild that lives on may hold the pipes open.
    const patience = Promise.withResolvers<void>();
    timers.push(setTimeout(patience.resolve, 500));
    await Promise.race([Promise.all(reading), patience.promise]);
    return { code, signal, late, said };
  } finally {
    timers.forEach(clearTimeout);
  }
}

async function eachLine(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    const lines = `${rest}${decoder.decode(bytes, { stream: true })}`.split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(onLine);
  }
  if (rest !== "") onLine(rest);
}
