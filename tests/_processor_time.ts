import { cpuUsage } from "node:process";

/** Seconds for which processors have worked for this process; other processes do not count. */
export function processorSeconds(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1e6;
}
