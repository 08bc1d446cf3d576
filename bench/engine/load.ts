import os from "node:os";
import process from "node:process";
import { setTimeout as wait } from "node:timers/promises";

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

/** Waits until the machine is idle, at most for some milliseconds. */
export async function waitForQuiet(patience: number): Promise<void> {
  for (let waited = 0; waited < patience; waited += GLANCE) {
    const foreignLoad = watchForeignLoad();
    await wait(GLANCE);
    if (foreignLoad() < IDLE) return;
  }
}

/** Milliseconds that the machine is watched before it counts as idle. */
const GLANCE = 500;
/** Share of the processors' time that even an idle machine takes. */
const IDLE = 0.05;

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
