import { openMemoryAdvice, readMappings } from "./process_memory.ts";

/** MADV_HUGEPAGE and MADV_COLLAPSE of Linux 6.1 and later. */
const ADVICE = [14, 25] as const;

/** Size of a large page. */
const PAGE = 2n << 20n;

/** Mappings below this, in bytes, stay as they are: small graphs have nothing to gain. */
const LEAST = 4n << 20n;

/**
 * Loads something, and lays the memory that it took into pages of 2 MB where the system has them.
 *
 * A decoding step reads all weights once. In pages of 4 KB that costs a look at the page table for each,
 * an eighth of a step's time. Pages that were never touched stay absent, so that it takes no memory.
 */
export async function inLargePages<Loaded>(load: () => Promise<Loaded>): Promise<Loaded> {
  const before = new Set(ownMappings());
  const loaded = await load();
  const library = openMemoryAdvice();
  if (!library) return loaded;
  try {
    const { madviseAside } = library.symbols;
    for (const mapping of ownMappings()) {
      if (before.has(mapping)) continue;
      const [from, to] = wholePages(mapping);
      if (to - from < LEAST) continue;
      // What cannot be done is left out: it works either way.
      for (const advice of ADVICE) {
        await madviseAside(Deno.UnsafePointer.create(from), to - from, advice);
      }
    }
  } finally {
    library.close();
  }
  return loaded;
}

/** Ranges of addresses that can be written and are of no file, as `from-to`. */
function ownMappings(): string[] {
  return readMappings().split("\n").flatMap((line) => {
    const [, range] = /^(\w+-\w+) rw-p \S+ \S+ 0 *(?:\[heap\])?$/.exec(line) ?? [];
    return range === undefined ? [] : [range];
  });
}

function wholePages(range: string): readonly [from: bigint, to: bigint] {
  const [from = 0n, to = 0n] = range.split("-").map((address) => BigInt(`0x${address}`));
  return [(from + PAGE - 1n) / PAGE * PAGE, to / PAGE * PAGE];
}
