import { probeDevices } from "../runtime/device/probe_devices.ts";
import type { ProviderReport } from "../runtime/device/device_report.ts";

/** Where Debian's `chromium-common` puts its software Vulkan device. */
const SOFTWARE = ["/usr/lib/chromium/vk_swiftshader_icd.json"];

/** Variables that make a process find a software Vulkan device, if there is one and none is named. */
export function softwareVulkan(): Readonly<Record<string, string>> {
  if (Deno.env.get("VK_ICD_FILENAMES")) return {};
  const found = SOFTWARE.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
  return found === undefined ? {} : { VK_ICD_FILENAMES: found };
}

/** What the providers say, with a software device where there is one. */
export function probed(): Promise<readonly ProviderReport[]> {
  return probeDevices({ env: softwareVulkan() });
}
