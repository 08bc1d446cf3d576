import type { Device } from "../kernels/device/device.ts";
import { openDevice } from "../kernels/device/open_device.ts";
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

// The shaders that onnxruntime has compiled go with the last session on a device. One that stays
// lets all tests of a process share them; Node's binding has no option for it.
if (testProvider() === "webgpu") (await testDevice().zeros([1]))[Symbol.dispose]();
