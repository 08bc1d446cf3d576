import type { MachineRecord, SampleRecord } from "../run/record.ts";
import type { Block } from "./blocks.ts";

/** Kinds of machines that measured samples, with the number of samples, the busiest first. */
export function machineKinds(
  records: readonly SampleRecord[],
): readonly (readonly [kind: string, samples: number])[] {
  const counts = new Map<string, number>();
  for (const { machine } of records) {
    if (machine) counts.set(kindOf(machine), (counts.get(kindOf(machine)) ?? 0) + 1);
  }
  return [...counts].sort(([a, more], [b, less]) => less - more || a.localeCompare(b));
}

function kindOf({ processor, device, precision, versions }: MachineRecord): string {
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [processor, ...device === undefined ? [] : [device], precision, ...named].join(", ");
}

/** Tells that samples of one run were measured by kinds of machines that may compute otherwise. */
export function mixtureBlocks(records: readonly SampleRecord[]): readonly Block[] {
  const kinds = machineKinds(records);
  const here = records.filter(({ machine }) => machine === undefined).length;
  if (kinds.length + (here > 0 ? 1 : 0) < 2) return [];
  const listed = kinds.map(([kind, count]) => `${kind} (${count})`);
  if (here > 0) listed.push(`the machine of the run itself (${here})`);
  return [{
    kind: "text",
    text:
      `Measured on a mixture of ${listed.length} kinds of machines: the last bits of numbers may ` +
      `differ between them, and now and then a token. Samples by kind: ${listed.join("; ")}.`,
  }];
}
