/** What a finding may hold. */
export type FindingValue = number | string | boolean | null;

/** One thing that a check found out. */
export interface Finding {
  readonly section: string;
  /** Seconds since the check began. */
  readonly at: number;
  /** What it is about. */
  readonly what: string;
  readonly values: Readonly<Record<string, FindingValue>>;
  /** Whether what must hold holds; absent where there is nothing to hold. */
  readonly pass?: boolean;
}

/** A finding on its way from the process of a section. */
export type SectionFinding = Omit<Finding, "section" | "at">;

/** What marks a line of a section's output as a finding: native code prints there as well. */
const MARK = "finding ";

/** Prints a finding at once, for whoever runs the section. */
export function emit(finding: SectionFinding): void {
  const bytes = new TextEncoder().encode(`\n${MARK}${JSON.stringify(finding)}\n`);
  for (let from = 0; from < bytes.length;) from += Deno.stdout.writeSync(bytes.subarray(from));
}

/** The finding in a line of a section's output, if there is one. */
export function findingIn(line: string): SectionFinding | undefined {
  if (!line.startsWith(MARK)) return undefined;
  try {
    return JSON.parse(line.slice(MARK.length));
  } catch {
    return undefined;
  }
}

/** A finding for people, one line. */
export function readable({ section, at, what, values, pass }: Finding): string {
  const shown = Object.entries(values).map(([name, value]) =>
    `${name} ${typeof value === "number" ? rounded(value) : value}`
  );
  const end = pass === undefined ? "" : pass ? "  PASS" : "  FAIL";
  return `${at.toFixed(1).padStart(6)} s  ${section}: ${what}: ${shown.join(", ")}${end}`;
}

function rounded(value: number): string {
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1000) return value.toFixed(0);
  return size >= 0.001 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}
