import os from "node:os";
import process from "node:process";

/**
 * Starts to watch the machine.
 *
 * @returns A function that tells the share of the processors' time, 0 to 1, that other processes
 * took since.
 */
export function watchForeignLoad(): () => number {
  const start = readTimes();
  return () => {
    const end = readTimes();
    const total = end.total - start.total;
    if (total <= 0) return 0;
    const foreign = (end.busy - start.busy) - (end.own - start.own);
    return Math.min(1, Math.max(0, foreign / total));
  };
}

/** Milliseconds: of all processors, of those the busy ones, and of this process. */
function readTimes(): { total: number; busy: number; own: number } {
  let total = 0, idle = 0;
  for (const { times } of os.cpus()) {
    total += times.user + times.nice + times.sys + times.idle + times.irq;
    idle += times.idle;
  }
  const { user, system } = process.cpuUsage();
  return { total, busy: total - idle, own: (user + system) / 1000 };
}
