import { openDevice } from "../../kernels/device/open_device.ts";

// After the last session on it, onnxruntime gives up a device, and opens it again for the next.
for (let round = 1; round <= 2; round++) {
  await using device = openDevice("webgpu");
  using zeros = await device.zeros([round]);
  console.log(`${zeros.bytes} bytes`);
}
