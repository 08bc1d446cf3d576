import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  bestDevice,
  chooseDevice,
  type DeviceChoice,
} from "../../../runtime/device/choose_device.ts";
import type { ProviderName, ProviderReport } from "../../../runtime/device/device_report.ts";
import type { ProbeOptions } from "../../../runtime/device/probe_devices.ts";
import { DeviceError } from "../../../runtime/errors.ts";
import { softwareVulkan } from "../../_vulkan.ts";
import { probeDevices } from "../../../runtime/device/probe_devices.ts";

const NO_LOADER = "Cannot use webgpu: there is no Vulkan loader; install it";
const NO_WEBGPU: ProviderReport = { provider: "webgpu", works: false, missing: NO_LOADER };
const NO_CUDA: ProviderReport = {
  provider: "cuda",
  works: false,
  missing: "Cannot use cuda: no libraries",
};
const GPU: ProviderReport = {
  provider: "webgpu",
  works: true,
  fp16: true,
  maxBufferBytes: 2 ** 31,
  adapter: "NVIDIA GeForce RTX 4070",
};
const CUDA: ProviderReport = { provider: "cuda", works: true, fp16: true };

/** A probe that knows its answers, and which providers it was asked for. */
function knowing(...reports: ProviderReport[]) {
  const asked: ProviderName[] = [];
  const probe = ({ providers = [] }: ProbeOptions) => {
    asked.push(...providers);
    return Promise.resolve(reports.filter(({ provider }) => providers.includes(provider)));
  };
  return { asked, probe };
}

Deno.test("chooseDevice() takes the processor at its word and tries nothing", async () => {
  const { asked, probe } = knowing(GPU);
  assertEquals(await chooseDevice("cpu", { probe }), {
    provider: "cpu",
    half: false,
    why: "it was asked for",
  });
  assertEquals(asked, []);
});

Deno.test("chooseDevice() takes webgpu before cuda, with what it can do", async () => {
  const { asked, probe } = knowing(GPU, CUDA);
  assertEquals(await chooseDevice("auto", { probe }), {
    provider: "webgpu",
    half: true,
    maxBufferBytes: 2 ** 31,
    adapter: "NVIDIA GeForce RTX 4070",
    why: "NVIDIA GeForce RTX 4070",
  });
  assertEquals(asked, ["webgpu"]);
});

Deno.test("chooseDevice() takes cuda where webgpu does not work", async () => {
  const { provider, half } = await chooseDevice("auto", knowing(NO_WEBGPU, CUDA));
  assertEquals([provider, half], ["cuda", true]);
});

Deno.test("chooseDevice() goes by name, and tries nothing else", async () => {
  const { asked, probe } = knowing(GPU, { ...CUDA, fp16: false });
  const { provider, half, why } = await chooseDevice("cuda", { probe });
  assertEquals([provider, half, why], ["cuda", false, "it was asked for"]);
  assertEquals(asked, ["cuda"]);
});

for (
  const adapter of [
    "SwiftShader Device (Subzero)",
    "llvmpipe (LLVM 17.0.6, 256 bits)",
    "Microsoft Basic Render Driver",
  ]
) {
  Deno.test(`chooseDevice() leaves ${adapter} aside unless it is asked for`, async () => {
    const { probe } = knowing({ ...GPU, adapter }, NO_CUDA);
    const { provider, why } = await chooseDevice("auto", { probe });
    assertEquals(provider, "cpu");
    assertEquals(
      why,
      `webgpu works, but only on a software adapter (${adapter}), slower than the processor; ` +
        "cuda does not work (kvjudge devices says more)",
    );
    assertEquals((await chooseDevice("webgpu", { probe })).provider, "webgpu");
    assertEquals((await chooseDevice("auto", knowing({ ...GPU, adapter }, CUDA))).provider, "cuda");
  });
}

Deno.test("chooseDevice() says so where the adapter's name is not known", async () => {
  const { adapter: _, ...nameless } = GPU;
  const { provider, why } = await chooseDevice("auto", knowing(nameless));
  assertEquals(provider, "webgpu");
  assertMatch(why, /name of its adapter is not known/);
});

Deno.test("chooseDevice() falls back to the processor and says that nothing else works", async () => {
  const { provider, why } = await chooseDevice("auto", knowing(NO_WEBGPU, NO_CUDA));
  assertEquals(provider, "cpu");
  assertMatch(why, /^webgpu does not work; cuda does not work \(kvjudge devices/);
});

Deno.test("chooseDevice() says what a named device lacks and what works in its place", async () => {
  const error = await assertRejects(
    () => chooseDevice("webgpu", knowing(NO_WEBGPU)),
    DeviceError,
    `${NO_LOADER}; kvjudge devices lists what works, and 'device' cpu always does`,
  );
  assertEquals(error.name, "DeviceError");
  await assertRejects(() => chooseDevice("cuda", knowing()), DeviceError, "gave no answer");
});

Deno.test("chooseDevice() refuses a device that there is not", async () => {
  await assertRejects(
    () => chooseDevice("gpu" as DeviceChoice, knowing(GPU)),
    DeviceError,
    "Cannot run on device 'gpu': it must be one of cpu, auto, webgpu, cuda",
  );
});

Deno.test({
  name: "chooseDevice() without leave to start processes takes the processor, or says so",
  permissions: { run: false, read: true, env: true, sys: true, ffi: true },
  async fn() {
    const { provider, why } = await chooseDevice("auto");
    assertEquals(provider, "cpu");
    assertMatch(why, /--allow-run/);
    await assertRejects(() => chooseDevice("webgpu"), Deno.errors.NotCapable);
  },
});

Deno.test("chooseDevice() and bestDevice() agree on this machine", async () => {
  const probe = (options: ProbeOptions) => probeDevices({ ...options, env: softwareVulkan() });
  assertEquals(await chooseDevice("auto", { probe }), bestDevice(await probe({})));
});
