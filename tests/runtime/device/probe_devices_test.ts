import { assertEquals, assertMatch } from "@std/assert";
import { type ProbeCommand, probeDevices } from "../../../runtime/device/probe_devices.ts";
import { probed } from "../../_vulkan.ts";

/** A program that stands in for a probe. */
function saying(script: string): () => ProbeCommand {
  return () => ({ program: Deno.execPath(), args: ["eval", script] });
}

Deno.test("probeDevices runs a graph on the processor and says what the rest lacks", async () => {
  const reports = await probed();
  assertEquals(reports.map(({ provider }) => provider), ["cpu", "webgpu", "cuda"]);
  const [cpu, webgpu] = reports;
  assertEquals([cpu?.works, cpu?.fp16, cpu?.missing], [true, true, undefined]);
  for (const { provider, works, missing = "" } of reports) {
    if (!works) assertMatch(missing, new RegExp(`^Cannot use ${provider}: [^\n]+$`));
  }
  if (webgpu?.adapter?.includes("SwiftShader")) assertEquals(webgpu.maxBufferBytes, 2 ** 30);
});

Deno.test("probeDevices names the missing loader where there is no Vulkan", async () => {
  const script = `console.error("Warning: Couldn't load Vulkan: libvulkan.so.1: cannot open");
    console.log('{"works":false,"reason":"Failed to get a WebGPU adapter: No supported adapters"}')`;
  const [, webgpu] = await probeDevices({ command: saying(script) });
  assertMatch(webgpu?.missing ?? "", /no Vulkan loader.*apt-get install libvulkan1/);
  assertEquals(webgpu?.detail, "Failed to get a WebGPU adapter: No supported adapters");
});

Deno.test("probeDevices names the missing driver where there is only a loader", async () => {
  const script = `console.error("Warning: vkCreateInstance: Found no drivers!");
    console.log('{"works":false,"reason":"No supported adapters"}')`;
  const [, webgpu] = await probeDevices({ command: saying(script) });
  assertMatch(webgpu?.missing ?? "", /no driver for it/);
});

Deno.test("probeDevices survives a native library that ends its process", async () => {
  const command = saying("Deno.kill(Deno.pid, 'SIGABRT'); await new Promise(() => {})");
  const reports = await probeDevices({ command });
  assertEquals(reports.map(({ works }) => works), [false, false, false]);
  assertMatch(reports[1]?.missing ?? "", /ended by SIGABRT/);
});

Deno.test("probeDevices kills a driver that hangs", async () => {
  const command = saying("setInterval(() => {}, 1000)");
  const [cpu] = await probeDevices({ command, time: 500 });
  assertMatch(cpu?.missing ?? "", /did not answer in time/);
});

Deno.test("probeDevices takes the last line that is an answer, whatever else is printed", async () => {
  const script = `console.log("driver 1.0"); console.log('{"works":true,"fp16":false}'); ` +
    `console.log("bye")`;
  const [cpu] = await probeDevices({ command: saying(script) });
  assertEquals(cpu, { provider: "cpu", works: true, fp16: false });
});
