import { join } from "node:path";
import { type Finding, readable } from "./finding.ts";

/** How findings are printed. */
export type Print = "text" | "json" | "both";

/** Where findings go: whatever ends the process, what was found until then is there. */
export interface Results extends Disposable {
  add(finding: Finding): void;
  /** What sections print besides findings. */
  log(text: string): void;
  /** Findings that do not pass. */
  readonly failed: number;
}

/** Opens files of results in a folder, which is made; without one, findings are printed alone. */
export function openResults(
  folder: string | undefined,
  print: Print,
  write: (line: string) => void = printLine,
): Results {
  using opening = new DisposableStack();
  const file = (name: string) => {
    if (folder === undefined) return undefined;
    return opening.use(
      Deno.openSync(join(folder, name), { write: true, create: true, append: true }),
    );
  };
  if (folder !== undefined) Deno.mkdirSync(folder, { recursive: true });
  const [findings, report, log] = ["findings.jsonl", "report.txt", "log.txt"].map(file);
  const opened = opening.move();
  let failed = 0;
  return {
    get failed() {
      return failed;
    },
    add(finding) {
      if (finding.pass === false) failed++;
      const json = JSON.stringify(finding);
      const text = readable(finding);
      append(findings, json);
      append(report, text);
      if (print !== "text") write(json);
      if (print !== "json") write(text);
    },
    log: (text) => append(log, text),
    [Symbol.dispose]: () => opened.dispose(),
  };
}

function append(file: Deno.FsFile | undefined, text: string): void {
  if (!file) return;
  writeAll(file, text);
}

function printLine(line: string): void {
  writeAll(Deno.stdout, line);
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let from = 0; from < bytes.length;) from += to.writeSync(bytes.subarray(from));
}
