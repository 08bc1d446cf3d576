/** What onnxruntime's profile says of one kind of event, in milliseconds. */
export interface ProfileRow {
  readonly kind: string;
  readonly name: string;
  readonly count: number;
  readonly milliseconds: number;
}

interface ProfileEvent {
  readonly cat?: string;
  readonly name?: string;
  /** Microseconds. */
  readonly dur?: number;
  readonly args?: { readonly op_name?: string; readonly provider?: string };
}

/** Sums a profile by operator, the longest first. */
export function summariseProfile(text: string): ProfileRow[] {
  const events: readonly ProfileEvent[] = JSON.parse(text);
  const rows = new Map<string, { kind: string; name: string; count: number; dur: number }>();
  for (const { cat = "", name = "", dur = 0, args = {} } of events) {
    // Names of nodes and kernels end in what tells them apart.
    const short = args.op_name ?? name.replace(/^.*&/, "").replace(/[_/]?\d+/g, "");
    const event = cat === "Node" ? /(kernel_time|fence_before|fence_after)$/.exec(name)?.[1] : "";
    const kind = [cat, event, args.provider].filter(Boolean).join(" ");
    const row = rows.get(`${kind} ${short}`) ?? { kind, name: short, count: 0, dur: 0 };
    row.count++;
    row.dur += dur;
    rows.set(`${kind} ${short}`, row);
  }
  return [...rows.values()]
    .sort((a, b) => b.dur - a.dur)
    .map(({ kind, name, count, dur }) => ({ kind, name, count, milliseconds: dur / 1000 }));
}
