import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { testProvider } from "../_device.ts";
import { probed, softwareVulkan } from "../_vulkan.ts";

/** Tests of what runs on a device; by themselves they run its graphs on the processor. */
const FOLDERS = [
  "../kernels/device",
  "../kernels/device/native",
  "../runtime/cache/device",
  "../runtime/engine/device",
];

if (testProvider() === "webgpu") {
  // Here, in a process of their own, they share compiled shaders. Each file would lose them.
  for (const folder of FOLDERS) {
    for (const { name } of Deno.readDirSync(new URL(folder, import.meta.url))) {
      if (name.endsWith("_test.ts")) await import(`${folder}/${name}`);
    }
  }
} else {
  const webgpu = (await probed()).find(({ provider }) => provider === "webgpu");
  const [ignore, why] = webgpu?.works ? [false, ""] : [true, ` (skipped: ${webgpu?.missing})`];

  Deno.test({
    name: `webgpu: all tests of devices hold on a GPU, or a software one${why}`,
    ignore,
    async fn() {
      const said = await onWebgpu("test", "on_webgpu_test.ts");
      const passed = Number(/(\d+) passed/.exec(said)?.[1] ?? 0);
      console.log(`${passed} tests on webgpu`);
      assert(passed > 100, said);
    },
  });

  Deno.test({
    name: `webgpu: a device is opened again after the last was closed${why}`,
    ignore,
    async fn() {
      assertEquals(await onWebgpu("run", "_reopen.ts"), "4 bytes\n8 bytes\n");
    },
  });
}

// A process of its own: a driver that crashes takes no other test with it.
async function onWebgpu(command: "run" | "test", file: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      command,
      "-A",
      "--node-modules-dir=manual",
      "--no-check",
      "--quiet",
      fileURLToPath(new URL(file, import.meta.url)),
    ],
    env: { ...softwareVulkan(), KVJUDGE_TEST_DEVICE: "webgpu", NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assertEquals(code, 0, `${out}\n${err}`);
  return out ?? "";
}
