/** What `nvidia-smi` says of the first GPU. */
export interface GpuState {
  readonly name: string;
  readonly driver: string;
  /** MiB. */
  readonly total: number;
  /** MiB, of all processes. */
  readonly used: number;
}

/** Asks `nvidia-smi`, where there is one. */
export async function gpuState(): Promise<GpuState | undefined> {
  const fields = "name,driver_version,memory.total,memory.used";
  try {
    const { success, stdout } = await new Deno.Command("nvidia-smi", {
      args: [`--query-gpu=${fields}`, "--format=csv,noheader,nounits"],
      stdout: "piped",
      stderr: "null",
    }).output();
    if (!success) return undefined;
    const [line = ""] = new TextDecoder().decode(stdout).split("\n");
    const [name = "", driver = "", total, used] = line.split(",").map((cell) => cell.trim());
    return { name, driver, total: Number(total), used: Number(used) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** GB/s of memory by name of card, as its maker says; the first that matches counts. */
const BANDWIDTH: readonly (readonly [RegExp, number])[] = [
  [/H200/i, 4800],
  [/H100.*(PCIe|NVL)/i, 2000],
  [/H100/i, 3350],
  [/A100/i, 2039],
  [/L40S?/i, 864],
  [/L4\b/i, 300],
  [/4090/i, 1008],
  [/A10\b/i, 600],
  [/T4\b/i, 320],
];

/** What the maker of a card says of its memory, in GB/s. */
export function knownBandwidth(name: string): number | undefined {
  return BANDWIDTH.find(([card]) => card.test(name))?.[1];
}
