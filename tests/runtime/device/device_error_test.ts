import { assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { openDevice } from "../../../kernels/device/open_device.ts";
import { deviceError } from "../../../runtime/device/device_error.ts";
import { BudgetError, DeviceError } from "../../../runtime/errors.ts";
import { probed } from "../../_vulkan.ts";

// As onnxruntime 1.30 words them.
const TOO_LARGE =
  "WebGPU validation failed. Buffer size (6442450944) exceeds the max buffer size " +
  "limit (1073741824).\n - While calling [Device].CreateBuffer([BufferDescriptor]).\n";
const NO_MEMORY = "WebGPU validation failed. [Invalid Buffer (unlabeled)] is invalid due to a " +
  "previous error.\n - While validating entries[1]\n";

const SENTENCES: readonly (readonly [string, RegExp])[] = [
  [TOO_LARGE, /a buffer of 6442450944 bytes is more than the 1073741824 that it allows; .*chunks/],
  ["exceeds the max buffer size limit (256)", /larger than the 256 bytes that it allows/],
  [NO_MEMORY, /its memory is full; give a smaller budget/],
  ["vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY", /its memory is full/],
  ["CUDA failure 2: out of memory ; GPU=0", /its memory is full/],
  ["Failed to run: Device was lost (reason 1)", /the device was lost.*load the model again/],
  // Pitfall 21: what a driver says of 16-bit floats that it has not.
  ["Program requires f16 but the device does not support it", /it has no 16-bit floats/],
  ["Something else\n  at line 3", /onnxruntime says: Something else; /],
];

for (const [said, sentence] of SENTENCES) {
  Deno.test(`deviceError() puts "${said.split("\n")[0]}" into one sentence`, () => {
    const cause = new Error(said);
    const error = deviceError("webgpu", "run", cause);
    assertInstanceOf(error, DeviceError);
    assertMatch(error.message, sentence);
    assertMatch(
      error.message,
      /^Cannot run the model on webgpu: [^\n]+; 'device' cpu always works$/,
    );
    assertEquals(error.cause, cause);
  });
}

Deno.test("deviceError() says what was being done", () => {
  const error = deviceError("cuda", "load", new Error("x"));
  assertInstanceOf(error, DeviceError);
  assertMatch(error.message, /^Cannot load the model on cuda: /);
});

Deno.test("deviceError() leaves errors of ours and what is no error alone", () => {
  const ours = new BudgetError("Cannot keep 0 tokens");
  assertEquals(deviceError("webgpu", "run", ours), ours);
  assertEquals(deviceError("webgpu", "run", "thrown"), "thrown");
});

const [, webgpu] = await probed();

Deno.test({
  name: "deviceError() knows what a device says of a buffer that is too large",
  ignore: webgpu?.works !== true || !webgpu.maxBufferBytes || !Deno.env.get("VK_ICD_FILENAMES"),
  async fn() {
    const explain = (error: unknown, action: "load" | "run") =>
      deviceError("webgpu", action, error);
    await using device = openDevice("webgpu", { explain });
    const tooMany = (webgpu?.maxBufferBytes ?? 0) / 4 + 64;
    for (const refusal of ["first", "second"]) {
      const error = await device.zeros([tooMany]).then(() => undefined, (thrown) => thrown);
      assertInstanceOf(error, DeviceError, refusal);
      assertMatch(error.message, /memory is full|is more than the \d+ that it allows/);
    }
  },
});
