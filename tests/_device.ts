import { type Device, openDevice } from "../kernels/device/device.ts";
import type { ProviderName } from "../kernels/device/provider_probe.ts";

/**
 * The device that tests run on: the processor, which computes the very graphs of a device, unless
 * `tests/device/on_webgpu_test.ts` runs them again on a GPU, or a software one.
 */
export function testProvider(): ProviderName {
  return Deno.env.get("KVJUDGE_TEST_DEVICE") === "webgpu" ? "webgpu" : "cpu";
}

/** Opens that device. */
export function testDevice(): Device {
  return openDevice(testProvider());
}
