import { probeDevices } from "../../../runtime/device/probe_devices.ts";
import { knownAdapter } from "../adapter_file.ts";
import { gpuState } from "../gpu_memory.ts";
import type { Section } from "../section.ts";

/** What there is, and its limits. */
export const adapter: Section = {
  name: "adapter",
  seconds: 60,
  least: 5,
  async run(options, report) {
    const state = await gpuState();
    if (state) report("nvidia-smi", { ...state });
    for (const { provider, works, ...known } of await probeDevices()) {
      const asked = provider === options.device;
      const { detail = "", ...rest } = known;
      const shown = works ? {} : { detail: detail.slice(0, 300) };
      report(provider, { works, ...rest, ...shown }, asked ? works : undefined);
    }
    report("known to the other sections", { ...await knownAdapter(options) });
    const { available = 0, total = 0 } = Deno.systemMemoryInfo();
    const gibibytes = (bytes: number) => Math.round(bytes / 2 ** 30);
    report("main memory, GiB", { total: gibibytes(total), available: gibibytes(available) });
    report("processors", { count: navigator.hardwareConcurrency, deno: Deno.version.deno });
  },
};
