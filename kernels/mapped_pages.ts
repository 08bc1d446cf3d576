import { openMemoryAdvice, readMappings } from "./process_memory.ts";

/** Pages of files that onnxruntime has mapped into memory. */
export interface MappedPages extends Disposable {
  /**
   * Gives back the memory that they take. Those that are read again come back by themselves, from the
   * system's cache or the disk.
   */
  release(): void;
  /**
   * Loads a graph that maps the files. Meanwhile no pages of theirs are given back, by anyone: the runtime
   * lets go of bytes that it has packed, and what then lies at their addresses may be anything.
   */
  whileLoading<Loaded>(load: () => Promise<Loaded>): Promise<Loaded>;
}

/** How many loads of a file are under way. Addresses are the process's own, whoever loads. */
const loads = new Map<string, number>();

/** MADV_DONTNEED. */
const DONT_NEED = 4;

/**
 * Finds the pages of files. Packing a matrix reads scales that no product reads afterwards, an eighth of
 * weights of 4 bits; and each row of an embedding matrix that is read brings 64 KB with it.
 *
 * Where the system has no such call, nothing is ever given back: clean pages are the first that it takes
 * when memory is short.
 *
 * @param files Real paths.
 */
export function mappedPages(files: ReadonlySet<string>): MappedPages {
  const library = openMemoryAdvice();
  const count = (change: number) => {
    for (const file of files) {
      const left = (loads.get(file) ?? 0) + change;
      if (left > 0) loads.set(file, left);
      else loads.delete(file);
    }
  };
  return {
    async whileLoading(load) {
      count(1);
      try {
        return await load();
      } finally {
        count(-1);
      }
    },
    release() {
      if (!library || [...files].some((file) => loads.has(file))) return;
      const { madvise } = library.symbols;
      // Read anew each time: another model may have mapped the same file, and be closed since. What then
      // lies at its addresses is not ours to drop.
      for (const { address, bytes } of mappingsOf(files)) {
        madvise(Deno.UnsafePointer.create(address), bytes, DONT_NEED);
      }
    },
    [Symbol.dispose]: () => library?.close(),
  };
}

interface Mapping {
  readonly address: bigint;
  readonly bytes: bigint;
}

function mappingsOf(files: ReadonlySet<string>): Mapping[] {
  return readMappings().split("\n").flatMap((line) => {
    const [, from, to, path = ""] = /^(\w+)-(\w+) (?:\S+ +){4}(.*)$/.exec(line) ?? [];
    if (!files.has(path)) return [];
    const address = BigInt(`0x${from}`);
    return [{ address, bytes: BigInt(`0x${to}`) - address }];
  });
}
