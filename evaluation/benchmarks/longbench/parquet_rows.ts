import { BenchmarkError } from "../errors.ts";

/** A row by its columns. */
export type ParquetRow = Readonly<Record<string, unknown>>;

/**
 * Reads the first rows of a Parquet file.
 *
 * @param place Where it comes from, for errors.
 * @param columns Those that are wanted, as far as there are.
 * @throws {BenchmarkError} If it is damaged or no Parquet file.
 */
export async function readParquetRows(
  file: ArrayBuffer,
  place: string,
  columns: readonly string[],
  max: number,
): Promise<readonly ParquetRow[]> {
  const [{ parquetMetadata, parquetReadObjects, parquetSchema }, { compressors }] = await Promise
    .all([import("npm:hyparquet@1.31.5"), import("npm:hyparquet-compressors@1.1.2")]);
  try {
    const metadata = parquetMetadata(file);
    const there = parquetSchema(metadata).children.map(({ element }) => element.name);
    const rows: Record<string, unknown>[] = [];
    for (const { num_rows } of metadata.row_groups) {
      const rowStart = rows.length;
      const rowEnd = Math.min(max, rowStart + checkedCount(num_rows, file.byteLength));
      if (rowEnd === rowStart) continue;
      const read = Array.from({ length: rowEnd - rowStart }, (): Record<string, unknown> => ({}));
      // One column of one group at a time: of several that fail, the library would leave all but one
      // unhandled, which ends the process.
      for (const column of columns.filter((name) => there.includes(name))) {
        const values = await parquetReadObjects({
          file,
          metadata,
          compressors,
          columns: [column],
          rowStart,
          rowEnd,
        });
        read.forEach((row, at) => row[column] = values[at]?.[column]);
      }
      rows.push(...read);
    }
    return rows;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BenchmarkError(
      `Cannot read ${place} as a table of Parquet: ${reason}; fetch the file again`,
    );
  }
}

/** A group has no more rows than the file has bytes. */
function checkedCount(count: bigint, bytes: number): number {
  if (count >= 0n && count <= BigInt(bytes)) return Number(count);
  throw new RangeError(`a group claims ${count} rows`);
}
