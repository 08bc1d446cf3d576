import { openBindingDevice } from "./binding_device.ts";
import type { Device, DeviceOptions } from "./device.ts";
import { openNativeDevice } from "./native/native_device.ts";
import type { ProviderName } from "./provider_probe.ts";

/**
 * Opens a device. A GPU through WebGPU is reached by onnxruntime's C API, which can do more than its
 * Node binding; where that cannot be opened, and for the other providers, by the binding.
 */
export function openDevice(provider: ProviderName, options: DeviceOptions = {}): Device {
  const native = provider === "webgpu" ? openNativeDevice(options) : undefined;
  return native ?? openBindingDevice(provider, options);
}
